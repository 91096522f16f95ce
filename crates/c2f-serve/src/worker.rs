//! The thread that owns a network.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use c2f_data::Views;
use c2f_engine::{Explanation, Guess, Network, Picture};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// A picture that waits for the network, and for whom.
pub(crate) struct Job {
    pub views: Views,
    pub asker: Asker,
}

/// What is asked, and where the answer goes.
pub(crate) enum Asker {
    /// Every class, most probable first.
    Guesses(oneshot::Sender<Result<Vec<Guess>, Failure>>),
    /// The same, and where the network looked.
    Explanation(oneshot::Sender<Result<Explanation, Failure>>),
}

impl Asker {
    fn is_gone(&self) -> bool {
        match self {
            Self::Guesses(sender) => sender.is_closed(),
            Self::Explanation(sender) => sender.is_closed(),
        }
    }
}

/// Answers what comes through the queue, until it is closed.
pub(crate) struct Worker {
    pub name: String,
    pub network: Network,
    pub queue: Arc<Queue<Job>>,
    pub metrics: Arc<Metrics>,
    pub max_batch: usize,
    pub gather: Duration,
}

impl Worker {
    pub fn run(self) {
        while let Some(mut jobs) = self.queue.take(self.max_batch, self.gather) {
            // Whoever has hung up needs no answer.
            jobs.retain(|job| !job.asker.is_gone());
            // Views with and without a source of their own for the fine look can't go through together.
            let (with, without): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.views.source.is_some());
            self.answer(with);
            self.answer(without);
        }
    }

    fn answer(&self, jobs: Vec<Job>) {
        let (mut guesses, mut explanations) = (Vec::new(), Vec::new());
        for Job { views, asker } in jobs {
            match asker {
                Asker::Guesses(sender) => guesses.push((vec![views], sender)),
                Asker::Explanation(sender) => {
                    explanations.push((Picture { name: String::new(), views: vec![views], truth: None }, sender));
                }
            }
        }
        let all = self.network.classes.len();
        let (views, senders): (Vec<_>, Vec<_>) = guesses.into_iter().unzip();
        let views: Vec<&[Views]> = views.iter().map(Vec::as_slice).collect();
        self.send(senders, || {
            let guesses = c2f_engine::guess(&self.network, &views, all)?;
            Ok(guesses.into_iter().map(|guesses| guesses.classes).collect())
        });
        let (pictures, senders): (Vec<_>, Vec<_>) = explanations.into_iter().unzip();
        self.send(senders, || c2f_engine::explain(&self.network, &pictures, all));
    }

    /// Runs a batch and sends each asker its answer, or all of them what went wrong.
    fn send<A>(
        &self,
        senders: Vec<oneshot::Sender<Result<A, Failure>>>,
        run: impl FnOnce() -> c2f_engine::Result<Vec<A>>,
    ) {
        if senders.is_empty() {
            return;
        }
        self.metrics.batch(&self.name, senders.len());
        let what = format!("the network {}", self.name);
        let answers = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(error)) => Err(Failure::internal(&what, error)),
            Err(_) => Err(Failure::internal(&what, "it panicked")),
        };
        // A failed send is somebody who has hung up meanwhile.
        match answers {
            Ok(answers) => senders.into_iter().zip(answers).for_each(|(sender, answer)| {
                let _ = sender.send(Ok(answer));
            }),
            Err(failure) => senders.into_iter().for_each(|sender| {
                let _ = sender.send(Err(failure.clone()));
            }),
        }
    }
}
