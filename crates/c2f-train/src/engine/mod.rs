//! Training and evaluation.

mod batch;
mod evaluate;
mod event;
mod metrics;
mod mix;
mod objective;
mod progress;
mod step;
mod train;

pub use batch::Inputs;
pub(crate) use batch::stack;
pub(crate) use evaluate::evaluate_with;
pub use evaluate::{Evaluation, Row, TestViews, evaluate, relabel};
pub use event::Event;
pub use metrics::{EpochRecord, read_metrics};
pub use progress::{Progress, Sums};
pub use step::{StepReport, Stepper};
pub use train::{Summary, TrainOptions, train};
