//! Our loader feeds candle's `Batcher`.

use candle_core::{Device, Result, Tensor};

use crate::{Batch, Epoch, Loader};

/// The pictures of an epoch, one after the other, for `Batcher::new_r2` of candle: an image (3, S, S), normalised, and its label, a
/// u32 of no dimension. The order, and what happens to the pictures, are those of [`Loader::epoch`]. A second view is left out.
#[derive(Debug)]
pub struct Pairs {
    epoch: Epoch,
    device: Device,
    /// (B, 3, S, S) and (B) of a batch, and how many of it were given.
    ready: Option<(Tensor, Tensor, usize)>,
    /// How many samples there are.
    samples: usize,
    /// What went wrong, and how often that will still be said.
    failed: Option<(String, usize)>,
}

impl Loader {
    /// The pictures of an epoch on a device, as candle's `Batcher` takes them. The loader's own batches are only what it reads
    /// ahead.
    ///
    /// # Errors
    /// The iterator gives an error if more pictures can't be read than [`LoaderConfig`](crate::LoaderConfig) allows, or candle fails.
    /// It gives it once more for each sample that the loader has, and ends: a `Batcher` forgets an error behind which there isn't
    /// a whole batch, and then takes it for the end.
    pub fn pairs(&self, epoch: u64, device: &Device) -> Pairs {
        Pairs {
            epoch: self.epoch(epoch, 0),
            device: device.clone(),
            ready: None,
            samples: self.samples().len(),
            failed: None,
        }
    }
}

impl Pairs {
    fn tensors(&self, batch: Batch) -> Result<(Tensor, Tensor, usize)> {
        let shape = (batch.labels.len(), 3, batch.size, batch.size);
        let images = Tensor::from_vec(batch.images, shape, &self.device)?;
        Ok((images, Tensor::from_vec(batch.labels, shape.0, &self.device)?, 0))
    }

    /// The next picture of the batch at hand, or of the next one that has any.
    fn take(&mut self) -> Result<Option<(Tensor, Tensor)>> {
        loop {
            if let Some((images, labels, given)) = &mut self.ready
                && *given < labels.dim(0)?
            {
                *given += 1;
                return Ok(Some((images.get(*given - 1)?, labels.get(*given - 1)?)));
            }
            match self.epoch.next().transpose()? {
                // All of its pictures may have been unreadable.
                Some(batch) if batch.labels.is_empty() => {}
                Some(batch) => self.ready = Some(self.tensors(batch)?),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Pairs {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((message, times)) = &mut self.failed {
            *times = times.checked_sub(1)?;
            return Some(Err(candle_core::Error::Msg(message.clone())));
        }
        let pair = self.take();
        if let Err(error) = &pair {
            self.failed = Some((error.to_string(), self.samples));
        }
        pair.transpose()
    }
}
