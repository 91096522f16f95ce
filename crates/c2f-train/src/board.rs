//! A training for TensorBoard.

use std::path::{Path, PathBuf};

use c2f_engine::{EpochRecord, Event};
use c2f_report::EventFile;
use tracing::warn;

/// Batches between two points of a curve.
const EVERY: usize = 10;

/// Event files in the run's folder. A training that can't write them goes on without.
pub struct Board {
    folder: PathBuf,
    events: Option<EventFile>,
    /// Batches of an epoch.
    batches: usize,
}

impl Board {
    /// For the run in the folder `run`. Nothing is written before it begins.
    pub fn new(run: &Path) -> Self {
        Self { folder: run.join("tensorboard"), events: None, batches: 0 }
    }

    /// Writes what an event says, by the number of batches since the run's beginning.
    pub fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Start { batches, .. } => {
                self.batches = batches;
                self.events = EventFile::create(&self.folder).map_err(|error| give_up(&error)).ok();
            }
            Event::Batch { epoch, done, of, loss, lr, images_per_s, .. }
                if done.is_multiple_of(EVERY) || done == of =>
            {
                let step = (epoch - 1) * of + done;
                let numbers = [("train/loss", loss), ("train/lr", lr), ("train/images_per_s", images_per_s)];
                self.write(|events| events.numbers(step, &numbers));
            }
            Event::Epoch { record, .. } => {
                let step = record.epoch * self.batches;
                self.write(|events| events.numbers(step, &numbers(record)));
            }
            _ => {}
        }
    }

    /// Writes the pictures of `overlays`, in the order of their names, as of the epoch `epoch`.
    pub fn pictures(&mut self, overlays: &Path, epoch: usize) {
        let step = epoch * self.batches;
        let mut files: Vec<_> =
            std::fs::read_dir(overlays).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files {
            let (Ok(size), Ok(png)) = (image::image_dimensions(&file), std::fs::read(&file)) else { continue };
            let tag = format!("overlays/{}", file.file_stem().unwrap_or_default().to_string_lossy());
            self.write(|events| events.png(step, &tag, png, size));
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut EventFile) -> c2f_report::Result<()>) {
        if let Some(events) = &mut self.events
            && let Err(error) = write(events)
        {
            give_up(&error);
            self.events = None;
        }
    }
}

fn give_up(error: &c2f_report::Error) {
    warn!("TensorBoard gets no more of this run: {error}");
}

/// What an epoch's line has.
fn numbers(record: &EpochRecord) -> Vec<(&'static str, f64)> {
    let all = [
        ("train/epoch_loss", record.train_loss),
        ("train/top1", record.train_top1),
        ("train/grad_norm", record.grad_norm),
        ("val/loss", Some(record.val_loss)),
        ("val/top1", Some(record.val_top1)),
        ("val/top1_coarse", record.val_top1_coarse),
        ("val/top1_fine", record.val_top1_fine),
        ("val/top5", Some(record.val_top5)),
        ("val/area", record.val_area),
        ("val/attention_similarity", record.val_attention_similarity),
    ];
    all.into_iter().filter_map(|(tag, value)| Some((tag, value?))).collect()
}
