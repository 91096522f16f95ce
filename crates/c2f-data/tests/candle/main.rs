//! candle's data sets become ours, and ours candle's.

mod batcher;
mod cifar;
mod conversion;
