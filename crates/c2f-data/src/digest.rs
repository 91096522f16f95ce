//! Numbers by which pictures and data sets are recognised, on every machine and in every version.

use crate::synthetic::Split;
use crate::{Dataset, Sample, Source};

impl Sample {
    /// A number for this picture of the class `class`, wherever the folder that it is in lies: of the class, the last part of
    /// the file's name and its length in bytes (0 if it isn't there), in a shard, too; of the class, file and row in Parquet; of the class and the
    /// name of what a program made, and of its size if it is in memory; of what is drawn.
    pub fn digest(&self, class: &str) -> u64 {
        let digest = Digest::new().text(class);
        match &self.source {
            Source::File { root } => {
                let length = std::fs::metadata(root.join(&*self.file)).map_or(0, |file| file.len());
                let name = self.file.rsplit('/').next().unwrap_or_default();
                digest.text(name).number(length)
            }
            Source::Parquet { file, row } => {
                let name = file.path().file_name().unwrap_or_default();
                digest.text(&name.to_string_lossy()).number(*row)
            }
            Source::Shard { length, .. } => {
                digest.text(self.file.rsplit('/').next().unwrap_or_default()).number(*length)
            }
            Source::Memory { picture } => {
                digest.text(&self.file).number(picture.width().into()).number(picture.height().into())
            }
            Source::Made { .. } => digest.text(&self.file),
            Source::Synthetic { scene, size } => digest
                .number(scene.seed)
                .number(u64::from(scene.split == Split::Test))
                .number(scene.index)
                .number(scene.class as u64)
                .number((*size).into()),
        }
        .0
    }
}

impl Dataset {
    /// A number for which pictures, by their names, are in which split and of which class. No file is looked at.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for (split, samples) in &self.splits {
            digest = digest.text(split).number(samples.len() as u64);
            for sample in samples {
                digest = digest.text(&sample.file).text(&self.classes[sample.label]);
                if let Source::Synthetic { scene, size } = &sample.source {
                    // All drawings of a number have the same name.
                    digest = digest.number(scene.seed).number((*size).into());
                }
            }
        }
        digest.0
    }
}

/// The 64-bit FNV-1a hash of a text: the standard library's may change between versions of Rust.
pub(crate) fn fnv1a(text: &str) -> u64 {
    Digest::new().bytes(text.as_bytes()).0
}

/// The 64-bit FNV-1a hash of what was added so far.
struct Digest(u64);

impl Digest {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// With its length, so that no two rows of texts run together.
    fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // http://www.isthe.com/chongo/src/fnv/test_fnv.c
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_picture_is_recognised_in_another_folder_and_by_its_length() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("a/1.png", "one"), ("b/c/1.png", "two"), ("b/2.png", "one"), ("c/1.png", "three")] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let digest = |root: &str, file: &str, class: &str| {
            let root = folder.path().join(root).into();
            Sample::new(file, 0, Source::File { root }).digest(class)
        };
        let first = digest("a", "1.png", "crow");
        assert_eq!(first, digest("b", "c/1.png", "crow"));
        assert!(
            ![digest("a", "1.png", "jay"), digest("b", "2.png", "crow"), digest("c", "1.png", "crow")].contains(&first)
        );
    }

    #[test]
    fn a_data_set_is_its_pictures_classes_and_splits() {
        let open = |text: &str| crate::open(&text.parse().unwrap()).unwrap().digest();
        let first = open("synthetic?size=40");
        assert_eq!(first, open("synthetic?size=40"));
        for other in [
            "synthetic?size=40&seed=1",
            "synthetic?size=41",
            "synthetic?size=40&classes=3",
            "synthetic?size=40&holdout=50",
        ] {
            assert_ne!(open(other), first, "{other}");
        }
    }
}
