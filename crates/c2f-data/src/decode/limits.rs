//! How much a picture may take, checked before it takes it.

/// How large a picture may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels, in millions. A file, and what its decoder takes for its output and on the way there, may have 4.47
    /// bytes for each, which is enough for eight bits of red, green, blue and alpha.
    pub max_megapixels: u32,
}

impl Default for Limits {
    /// 120 megapixels, so that photographs of 108 are read, and 512 MiB.
    fn default() -> Self {
        Self { max_megapixels: 120 }
    }
}

impl Limits {
    pub(crate) fn max_bytes(self) -> u64 {
        u64::from(self.max_megapixels) * (512 << 20) / 120
    }

    /// What is said of a file of more than [`max_bytes`](Self::max_bytes).
    pub(crate) fn too_many_bytes(self) -> String {
        format!("is larger than {} MiB (max_megapixels)", self.max_bytes() >> 20)
    }

    pub(super) fn check_size(self, width: u32, height: u32) -> Result<(), String> {
        if width == 0 || height == 0 {
            return Err(format!("has {width} x {height} pixels, expected at least one"));
        }
        if u64::from(width) * u64::from(height) > u64::from(self.max_megapixels) * 1_000_000 {
            let most = self.max_megapixels;
            return Err(format!("has {width} x {height} pixels, expected at most {most} megapixels (max_megapixels)"));
        }
        Ok(())
    }

    /// Checks what a decoder will allocate for a picture of this kind.
    pub(super) fn check_bytes(self, kind: &str, bytes: u64) -> Result<(), String> {
        if bytes > self.max_bytes() { Err(too_large(kind)) } else { Ok(()) }
    }
}

pub(super) fn too_large(kind: &str) -> String {
    format!("is a {kind} that needs more memory to decode than is allowed (max_megapixels)")
}
