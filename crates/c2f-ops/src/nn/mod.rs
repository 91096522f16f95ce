//! Layers: the operations with their parameters.
//!
//! A layer is made from a [`Params`], which names, initialises and keeps its variables, and is run with a [`Pass`],
//! which says how BatchNorm behaves and whether the weights take part in the gradient. Nothing is global.
//!
//! Its settings are checked when it is made. As PyTorch's, a layer prints itself in one line, by `{:?}`:
//! `Conv2d(3, 64, kernel 7x7, stride 2, padding 3, no bias)`.

mod backend;
mod batch_norm;
mod check;
mod conv;
mod conv_norm_act;
mod init;
mod layer_norm;
mod linear;
mod params;
mod pass;
mod running;

pub use batch_norm::BatchNorm2d;
pub use conv::{Conv2d, Conv2dOptions, ConvPadding};
pub use conv_norm_act::{ConvNormAct, ConvNormActOptions};
pub use init::{Init, orthonormalise};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use params::{Entry, Kind, Params};
pub use pass::{NormMode, Pass, Weights};
pub use running::BufferUpdate;
