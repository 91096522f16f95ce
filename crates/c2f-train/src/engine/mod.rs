//! Training and evaluation.

mod batch;
mod data;
mod evaluate;
mod event;
mod metrics;
mod mix;
mod objective;
mod progress;
mod selection;
mod step;
mod train;
mod trained_on;

pub use batch::Inputs;
pub(crate) use batch::{mean_over_views, stack, view_by_view};
pub use data::Data;
pub(crate) use evaluate::evaluate_with;
pub use evaluate::{Evaluation, Row, TestViews, evaluate};
pub use event::Event;
pub use metrics::{EpochRecord, read_metrics};
pub use progress::{Progress, Sums};
pub use selection::{Selection, relabel, select};
pub use step::{StepReport, Stepper};
pub use train::{Summary, TrainOptions, train};
pub use trained_on::TrainedOn;
