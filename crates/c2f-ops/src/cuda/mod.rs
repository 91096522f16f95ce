//! NVIDIA's cards: their kernels, and what candle's operations need around them.
//!
//! `kernels.cu` is compiled for the card when its first kernel is asked for (`module.rs`), `launch` says what is launched for each
//! operation, and `card.rs` lends it candle's memory. Each operation has its part in a file `cuda.rs` beside its `cpu.rs`.

mod card;
pub(crate) mod launch;
mod module;

use candle_core::{DType, Tensor};

pub(crate) use card::Card;

/// Whether the kernels take `x`: f32 and f64 on a card. Other types there are composed of candle's operations.
pub(crate) fn serves(x: &Tensor) -> bool {
    x.device().is_cuda() && matches!(x.dtype(), DType::F32 | DType::F64)
}
