//! The kinds of data sets: a line each.

use std::path::Path;

use crate::formats::{
    Listed, aircraft, cars, cub2010, cub2011, dogs, flowers102, folder, food101, inat, list, nabirds, parquet, pets,
    synthetic, webdataset,
};
use crate::spec::TrainOn;
use crate::{Dataset, Error, Result, Spec};

/// What is to be opened.
pub(crate) struct Asked<'a> {
    pub spec: &'a Spec,
    pub listed: Listed,
}

impl Asked<'_> {
    fn path(&self) -> Result<&Path> {
        self.spec.path.as_deref().ok_or_else(|| Error::Spec {
            spec: self.spec.to_string(),
            message: format!("the path is missing, expected `{}:PATH`", self.spec.kind.name()),
        })
    }
}

/// For each kind what it is, its variant, its name in a [`Spec`], and how it is opened.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident, $name:literal, |$asked:ident| $open:expr;)+) => {
        /// How a data set is laid out on disk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])+ $kind,)+
        }

        impl Kind {
            /// Every kind, in the order in which messages list them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The kind's name in a [`Spec`].
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// Reads names, labels and splits.
            pub(crate) fn open(self, asked: &Asked<'_>) -> Result<Dataset> {
                match self {
                    $(Self::$kind => (|$asked: &Asked<'_>| $open)(asked),)+
                }
            }
        }
    };
}

kinds! {
    /// Caltech-UCSD Birds 200 (2010) as published.
    Cub2010, "cub2010", |asked| cub2010::open(asked.path()?, asked.listed);
    /// Caltech-UCSD Birds 200 (2011) as published.
    Cub2011, "cub2011", |asked| cub2011::open(asked.path()?, asked.listed);
    /// Stanford Cars: with its development kit, in one folder, or as Kaggle has it.
    Cars, "cars", |asked| cars::open(asked.path()?, asked.listed);
    /// FGVC-Aircraft 2013b as published.
    Aircraft, "aircraft", |asked| aircraft::open(asked.path()?, asked.spec.level.unwrap_or_default(), asked.listed);
    /// Stanford Dogs as published.
    Dogs, "dogs", |asked| dogs::open(asked.path()?, asked.listed);
    /// NABirds as published.
    Nabirds, "nabirds", |asked| nabirds::open(asked.path()?, asked.listed);
    /// The iNaturalist competition of 2017.
    Inat2017, "inat2017", |asked| inat(asked);
    /// The iNaturalist competition of 2018.
    Inat2018, "inat2018", |asked| inat(asked);
    /// The iNaturalist competition of 2019.
    Inat2019, "inat2019", |asked| inat(asked);
    /// The iNaturalist competition of 2021.
    Inat2021, "inat2021", |asked| inat(asked);
    /// Oxford Flowers 102 as published.
    Flowers102, "flowers102", |asked| flowers102::open(asked.path()?, asked.listed);
    /// Oxford-IIIT Pet as published.
    Pets, "pets", |asked| pets::open(asked.path()?, asked.listed);
    /// Food-101 as published.
    Food101, "food101", |asked| food101::open(asked.path()?, asked.listed);
    /// A folder for each class, perhaps inside folders `train`, `val` and `test`.
    Folder, "folder", |asked| folder::open(asked.path()?);
    /// A CSV or TSV file that names pictures and their labels.
    List, "list", |asked| list::open(asked.path()?, asked.listed, asked.spec.fold.is_some());
    /// Parquet files as Hugging Face publishes them.
    Parquet, "parquet", |asked| parquet::open(asked.path()?);
    /// Tar files by WebDataset's convention.
    Webdataset, "webdataset", |asked| webdataset::open(asked.path()?);
    /// Pictures drawn by this crate.
    Synthetic, "synthetic", |asked| synthetic::open(asked.spec);
}

fn inat(asked: &Asked<'_>) -> Result<Dataset> {
    let Spec { kind, train, .. } = asked.spec;
    inat::open(asked.path()?, *kind, *train == Some(TrainOn::TrainMini), asked.listed)
}
