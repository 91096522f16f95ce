//! Decoded pictures that are kept in memory, up to a bound; and before them those that are kept on disk.

mod disk;
mod entry;
mod room;

pub use disk::DiskCache;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;

use crate::{Limits, Result, Sample, Source, decode_within};

/// Keeps the first pictures that fit, for good: an epoch sees every picture once, so whatever would be thrown out for another
/// is as likely to be wanted next.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// The most bytes that the pictures may take.
    limit: usize,
    kept: Mutex<Kept>,
    disk: Option<DiskCache>,
    pictures: Limits,
}

#[derive(Debug, Default)]
struct Kept {
    pictures: HashMap<usize, Arc<RgbImage>>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize, disk: Option<DiskCache>, pictures: Limits) -> Self {
        Self { limit, disk, pictures, ..Self::default() }
    }

    /// The pixels of sample number `id`.
    pub(crate) fn decode(&self, id: usize, sample: &Sample) -> Result<Arc<RgbImage>> {
        // What is in memory already is neither copied nor kept a second time.
        if let Source::Memory { picture } = &sample.source {
            return Ok(Arc::clone(picture));
        }
        if self.limit == 0 {
            return self.read(sample).map(Arc::new);
        }
        if let Some(picture) = self.kept().pictures.get(&id) {
            return Ok(Arc::clone(picture));
        }
        // Without the lock, so that other threads decode at the same time.
        let picture = Arc::new(self.read(sample)?);
        let mut kept = self.kept();
        let bytes = kept.bytes + picture.len();
        if bytes <= self.limit && kept.pictures.insert(id, Arc::clone(&picture)).is_none() {
            kept.bytes = bytes;
        }
        Ok(picture)
    }

    fn read(&self, sample: &Sample) -> Result<RgbImage> {
        match &self.disk {
            Some(disk) => disk.decode(sample, self.pictures),
            None => decode_within(sample, self.pictures),
        }
    }

    /// What a thread that panicked left is whole: nothing between two changes can panic.
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_kept_up_to_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let sample = |i: u8| {
            let file = format!("{i}.png");
            RgbImage::from_pixel(10, 10, image::Rgb([i; 3])).save(folder.path().join(&file)).unwrap();
            Sample::new(file, 0, Source::File { root: folder.path().into() })
        };
        let samples: Vec<Sample> = (0..4).map(sample).collect();
        // Room for two pictures of 300 bytes.
        let cache = Cache::new(899, None, Limits::default());
        let first: Vec<_> = samples.iter().enumerate().map(|(i, s)| cache.decode(i, s).unwrap()).collect();
        assert_eq!(cache.kept().bytes, 600);
        for (i, sample) in samples.iter().enumerate() {
            let again = cache.decode(i, sample).unwrap();
            assert_eq!(again, first[i]);
            assert_eq!(Arc::ptr_eq(&again, &first[i]), i < 2);
        }
        assert_eq!(cache.kept().bytes, 600);
        // What is kept isn't read again.
        drop(folder);
        assert!(cache.decode(1, &samples[1]).is_ok() && cache.decode(2, &samples[2]).is_err());
    }
}
