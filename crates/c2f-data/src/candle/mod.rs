//! candle's data sets become ours and ours candle's, and a [`Loader`](crate::Loader) feeds candle's `Batcher`: the feature
//! `candle-datasets`. Here it is that this crate knows a tensor library, and nowhere else.

mod from;
mod pairs;
mod to;

/// The version whose types these are.
pub use candle_datasets;
pub use pairs::Pairs;
pub use to::tensors;
