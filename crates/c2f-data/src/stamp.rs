//! What tells whether a file has changed since it was read.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Within a step of the file system's clock, a file can change and look the same.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// A file's length and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub bytes: u64,
    pub modified: SystemTime,
}

impl Stamp {
    /// The stamp of a file; none where it isn't there or has no time.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Self::new(&std::fs::metadata(path).ok()?)
    }

    /// The stamp of a file that was asked for already; none where it has no time.
    pub(crate) fn new(metadata: &Metadata) -> Option<Self> {
        Some(Self { bytes: metadata.len(), modified: metadata.modified().ok()? })
    }

    /// Whether a later change of the file would show in its stamp.
    pub(crate) fn is_settled(self) -> bool {
        self.modified + CLOCK_STEP < SystemTime::now()
    }

    /// The time, in nanoseconds since 1970.
    pub(crate) fn nanoseconds(self) -> i128 {
        match self.modified.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..].copy_from_slice(&self.nanoseconds().to_le_bytes());
        bytes
    }
}
