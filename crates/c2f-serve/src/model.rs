//! A network with its name, and what requests need to know of it.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use c2f_engine::{Explanation, Guess, Network};
use candle_core::Device;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::pictures::Reader;
use crate::queue::Queue;
use crate::worker::{Asker, Job};
use crate::{Error, Result};

/// A network to serve, and what to call it.
pub struct Model {
    /// Its name in addresses.
    pub name: String,
    /// The network.
    pub network: Network,
}

impl Model {
    /// Reads a checkpoint, or the best one of a run's folder. The name is the folder's; that of a checkpoint is its file's, without
    /// the ending.
    ///
    /// # Errors
    /// As [`c2f_engine::load_network`], or if the path ends in no name.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let network = c2f_engine::load_network(path, device)?.finished();
        // `.` has none of its own.
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
        let name = name.ok_or_else(|| Error::NoName(path.display().to_string()))?.to_string_lossy().into_owned();
        Ok(Self { name, network })
    }
}

/// The part of a model that requests see; the network itself belongs to its worker.
pub(crate) struct Served {
    pub name: String,
    pub classes: Vec<String>,
    pub reader: Reader,
    pub queue: Arc<Queue<Job>>,
}

impl Served {
    pub fn new(model: &Model, capacity: usize) -> Self {
        let network = &model.network;
        let (info, transform) = (network.model.backbone().info(), network.eval_transform());
        let reader = Reader {
            size: transform.size(),
            transform,
            limits: network.recipe.loader.limits(),
            mean: info.mean,
            std: info.std,
        };
        let queue = Arc::new(Queue::new(capacity));
        Self { name: model.name.clone(), classes: network.classes.clone(), reader, queue }
    }

    /// All classes of each picture, most probable first.
    pub async fn guess(&self, pictures: Vec<c2f_data::Views>) -> Result<Vec<Vec<Guess>>, Failure> {
        let (jobs, answers): (Vec<_>, Vec<_>) = pictures.into_iter().map(|views| job(views, Asker::Guesses)).unzip();
        self.push(jobs)?;
        let mut guesses = Vec::new();
        for answer in answers {
            guesses.push(answer.await.unwrap_or_else(|_| Err(gone()))?);
        }
        Ok(guesses)
    }

    /// All classes of a picture, and where the network looked.
    pub async fn explain(&self, views: c2f_data::Views) -> Result<Explanation, Failure> {
        let (job, answer) = job(views, Asker::Explanation);
        self.push(vec![job])?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn push(&self, jobs: Vec<Job>) -> Result<(), Failure> {
        let capacity = self.queue.capacity();
        if self.queue.push(jobs) {
            return Ok(());
        }
        Err(Failure::busy(format!("the queue of {} is full, at most {capacity} pictures wait", self.name)))
    }
}

fn job<A>(
    views: c2f_data::Views,
    asker: impl Fn(oneshot::Sender<Result<A, Failure>>) -> Asker,
) -> (Job, oneshot::Receiver<Result<A, Failure>>) {
    let (sender, receiver) = oneshot::channel();
    (Job { views, asker: asker(sender) }, receiver)
}

/// The worker has ended without an answer.
fn gone() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server has stopped")
}
