//! A training for TensorBoard.

use std::path::{Path, PathBuf};

use c2f_engine::{EpochRecord, Event};
use c2f_report::{EventFile, Histogram};
use candle_core::Tensor;
use tracing::warn;

/// Event files in the run's folder. A training that can't write them goes on without.
pub struct Board {
    folder: PathBuf,
    events: Option<EventFile>,
    /// Batches between two points of a curve.
    every: usize,
    /// Batches of an epoch.
    batches: usize,
    attention: Option<Attention>,
}

/// The attention of the pictures validated on since the last epoch.
#[derive(Default)]
struct Attention {
    /// Of each map's cells.
    cells: Histogram,
    /// The mean of each map of a picture: maps that never look lie at 0.
    maps: Histogram,
}

impl Attention {
    /// Adds maps (B, M, h, w).
    fn add(&mut self, maps: &Tensor) -> candle_core::Result<()> {
        self.cells.add(&maps.flatten_all()?.to_vec1::<f32>()?);
        self.maps.add(&maps.mean((2, 3))?.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }
}

impl Board {
    /// For the run in the folder `run`, with a point of each curve for every so many batches, and histograms of the attention where they
    /// are wanted. Nothing is written before it begins.
    pub fn new(run: &Path, every: usize, histograms: bool) -> Self {
        let attention = histograms.then(Attention::default);
        Self { folder: run.join("tensorboard"), events: None, every, batches: 0, attention }
    }

    /// Writes what an event says, by the number of batches since the run's beginning.
    pub fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Start { batches, .. } => {
                self.batches = batches;
                self.events = EventFile::create(&self.folder).map_err(|error| give_up(&error)).ok();
            }
            Event::Batch { epoch, done, of, loss, terms, grad_norm, lr, images_per_s, .. }
                if done.is_multiple_of(self.every) || done == of =>
            {
                let step = (epoch - 1) * of + done;
                let tags: Vec<String> = terms.iter().map(|(name, _)| format!("loss/{name}")).collect();
                let terms = tags.iter().map(String::as_str).zip(terms.iter().map(|(_, value)| *value));
                let mut numbers = vec![("train/loss", loss), ("train/lr", lr), ("train/images_per_s", images_per_s)];
                numbers.extend(grad_norm.map(|norm| ("train/step_grad_norm", norm)));
                numbers.extend(terms);
                self.write(|events| events.numbers(step, &numbers));
            }
            Event::Prediction(prediction) => {
                if let (Some(seen), Some(maps)) = (&mut self.attention, &prediction.attention)
                    && let Err(error) = seen.add(maps)
                {
                    warn!("TensorBoard gets no histogram of the attention: {error}");
                    self.attention = None;
                }
            }
            Event::Epoch { record, .. } => {
                let step = record.epoch * self.batches;
                self.write(|events| events.numbers(step, &numbers(record)));
                if let Some(Attention { cells, maps }) = self.attention.as_mut().map(std::mem::take) {
                    self.write(|events| events.histogram(step, "attention/cells", &cells));
                    self.write(|events| events.histogram(step, "attention/maps", &maps));
                }
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
