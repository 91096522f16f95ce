//! The text that names a data set: `kind:path?option=value&option=value`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use c2f_files::expand_home;

use crate::{Error, Kind, Result};

/// What a data set is and where it lies, as given on the command line or in a recipe.
///
/// The text is `kind:path`, then perhaps `?` and options joined by `&`: `cub2010:/data/my birds?classes=30`. The
/// kind `synthetic` has no path. A path that begins with `~/` lies in the user's home folder. Options begin at the last `?`, so a path that holds one needs one more at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How the data set is laid out.
    pub kind: Kind,
    /// The folder, the file of a [`Kind::List`], or the pattern of a [`Kind::Webdataset`]; none for [`Kind::Synthetic`].
    pub path: Option<PathBuf>,
    /// Keep this many classes, the first ones.
    pub classes: Option<usize>,
    /// Keep at most this many pictures of each split, spread evenly over the classes; for [`Kind::Synthetic`] the
    /// number of training pictures to draw.
    pub size: Option<usize>,
    /// The seed of what is drawn at random: a split, the pictures that `size` keeps, the synthetic pictures. 0 if not
    /// given.
    pub seed: Option<u64>,
    /// What to tell apart in a [`Kind::Aircraft`]; variants if not given.
    pub level: Option<Level>,
    /// Which published split to train on; `train` if not given.
    pub train: Option<TrainOn>,
    /// Holds this percentage of each class's training pictures out, as the split `val`: 1 to 90.
    pub holdout: Option<usize>,
    /// Splits the whole data set anew, for cross-validation.
    pub fold: Option<Fold>,
}

/// One fold of a cross-validation: every picture of the data set is in the test set of exactly one fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Which one, counted from 1.
    pub number: usize,
    /// How many there are, at least 2.
    pub of: usize,
}

/// The levels of detail at which [`Kind::Aircraft`] is labelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// 100 variants, such as `737-700`.
    #[default]
    Variant,
    /// 70 families, such as `Boeing 737`.
    Family,
    /// 30 manufacturers, such as `Boeing`.
    Manufacturer,
}

impl Level {
    /// Every level, from the finest.
    pub const ALL: [Self; 3] = [Self::Variant, Self::Family, Self::Manufacturer];

    /// The level's name in a [`Spec`], and in the names of the archive's files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Variant => "variant",
            Self::Family => "family",
            Self::Manufacturer => "manufacturer",
        }
    }
}

/// What to train on, other than the published `train`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainOn {
    /// `train` and `val` together, for data sets that have both; there is no `val` then.
    TrainVal,
    /// The 50 pictures a class that [`Kind::Inat2021`] publishes as `train_mini`.
    TrainMini,
}

impl TrainOn {
    const ALL: [Self; 2] = [Self::TrainVal, Self::TrainMini];

    fn name(self) -> &'static str {
        match self {
            Self::TrainVal => "trainval",
            Self::TrainMini => "train_mini",
        }
    }
}

const OPTIONS: [&str; 7] = ["classes", "size", "seed", "level", "train", "holdout", "fold"];

impl Spec {
    /// A data set without options.
    pub fn new(kind: Kind, path: Option<PathBuf>) -> Self {
        let (classes, size, seed, level, train, holdout, fold) = (None, None, None, None, None, None, None);
        Self { kind, path, classes, size, seed, level, train, holdout, fold }
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let error = |message: String| Error::Spec { spec: text.to_owned(), message };
        let (place, options) = text.rsplit_once('?').unwrap_or((text, ""));
        let (kind, path) = match place.split_once(':') {
            Some((kind, path)) => (kind, Some(path)),
            None => (place, None),
        };
        let kind = Kind::ALL.iter().copied().find(|k| k.name() == kind).ok_or_else(|| {
            if kind == "hub" {
                let how = "has to be fetched first (c2f_hub::Hub::dataset), and is then `parquet:FOLDER`";
                return error(how.to_owned());
            }
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            error(format!("unknown kind `{kind}`, {}", suggest(kind, &names)))
        })?;
        let path = match (kind, path) {
            (Kind::Synthetic, None | Some("")) => None,
            (Kind::Synthetic, Some(_)) => return Err(error("`synthetic` takes no path".to_owned())),
            (_, None | Some("")) => {
                return Err(error(format!("the path is missing, expected `{}:PATH`", kind.name())));
            }
            (_, Some(path)) => Some(expand_home(Path::new(path))),
        };
        let mut spec = Self::new(kind, path);
        for option in options.split('&').filter(|o| !o.is_empty()) {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| error(format!("option `{option}` has no value, expected `name=value`")))?;
            let number = || -> Result<u64> {
                value.parse().map_err(|_| error(format!("{name}={value}: expected a whole number of at least 0")))
            };
            let count = || -> Result<usize> {
                match usize::try_from(number()?) {
                    Ok(n) if n > 0 => Ok(n),
                    _ => Err(error(format!("{name}={value}: expected a whole number of at least 1"))),
                }
            };
            match name {
                "classes" => spec.classes = Some(count()?),
                "size" => spec.size = Some(count()?),
                "seed" => spec.seed = Some(number()?),
                "holdout" => {
                    let percent = count()?;
                    if percent > 90 {
                        return Err(error(format!("holdout={value}: expected 1 to 90 percent")));
                    }
                    spec.holdout = Some(percent);
                }
                "fold" => {
                    let numbers = value.split_once('/').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                    let fold = numbers.map(|(number, of)| Fold { number, of });
                    let fold = fold.filter(|fold| fold.of >= 2 && (1..=fold.of).contains(&fold.number));
                    spec.fold =
                        Some(fold.ok_or_else(|| error(format!("fold={value}: expected `1/5` to `5/5`, for example")))?);
                }
                "level" if kind == Kind::Aircraft => {
                    let level = Level::ALL.into_iter().find(|l| l.name() == value);
                    spec.level = Some(level.ok_or_else(|| {
                        error(format!("level={value}: {}", suggest(value, &Level::ALL.map(Level::name))))
                    })?);
                }
                "level" => return Err(error(format!("`{}` has no `level`, only `aircraft` has", kind.name()))),
                "train" => {
                    let train = TrainOn::ALL.into_iter().find(|t| t.name() == value);
                    spec.train = Some(train.ok_or_else(|| {
                        error(format!("train={value}: {}", suggest(value, &TrainOn::ALL.map(TrainOn::name))))
                    })?);
                    if spec.train == Some(TrainOn::TrainMini) && kind != Kind::Inat2021 {
                        return Err(error(format!("`{}` has no `train_mini`, only `inat2021` has", kind.name())));
                    }
                }
                _ => return Err(error(format!("unknown option `{name}`, {}", suggest(name, &OPTIONS)))),
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if let Some(path) = &self.path {
            write!(f, ":{}", path.display())?;
        }
        let options: Vec<String> = [
            self.classes.map(|v| format!("classes={v}")),
            self.size.map(|v| format!("size={v}")),
            self.seed.map(|v| format!("seed={v}")),
            self.level.map(|v| format!("level={}", v.name())),
            self.train.map(|v| format!("train={}", v.name())),
            self.holdout.map(|v| format!("holdout={v}")),
            self.fold.map(|v| format!("fold={}/{}", v.number, v.of)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let path_holds_mark = self.path.as_ref().is_some_and(|p| p.to_string_lossy().contains('?'));
        if !options.is_empty() || path_holds_mark {
            write!(f, "?{}", options.join("&"))?;
        }
        Ok(())
    }
}

/// The name nearest to a mistyped one, if one is near, and all there are.
fn suggest(given: &str, names: &[&str]) -> String {
    let near = names.iter().map(|n| (strsim::damerau_levenshtein(given, n), n)).min().filter(|(d, _)| *d <= 2);
    let all = names.join(", ");
    match near {
        Some((_, name)) => format!("did you mean `{name}`? There are: {all}"),
        None => format!("there are: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> String {
        text.parse::<Spec>().unwrap_err().to_string()
    }

    #[test]
    fn reads_kind_path_and_options() {
        let spec: Spec = "cub2010:/data/my birds?classes=30&size=60&seed=7".parse().unwrap();
        assert_eq!(spec.kind, Kind::Cub2010);
        assert_eq!(spec.path, Some(PathBuf::from("/data/my birds")));
        assert_eq!((spec.classes, spec.size, spec.seed), (Some(30), Some(60), Some(7)));
        let spec: Spec = "synthetic?classes=12".parse().unwrap();
        assert_eq!((spec.kind, spec.path, spec.classes), (Kind::Synthetic, None, Some(12)));
        let spec: Spec = "folder:C:/birds".parse().unwrap();
        assert_eq!(spec.path, Some(PathBuf::from("C:/birds")));
        let home = std::env::home_dir().unwrap();
        assert_eq!("folder:~/birds?seed=1".parse::<Spec>().unwrap().path, Some(home.join("birds")));
    }

    #[test]
    fn names_what_is_wrong_and_what_is_near() {
        assert!(message("cub201:/x").contains("did you mean `cub2010`?"));
        assert!(message("nothing:/x").contains("there are: cub2010, cub2011, cars, "));
        assert!(message("folder:/x?clases=3").contains("did you mean `classes`?"));
        assert!(message("folder:/x?classes=none").contains("classes=none"));
        assert!(message("folder:/x?classes=0").contains("at least 1"));
        assert!(message("folder:/x?classes").contains("name=value"));
        assert!(message("folder").contains("folder:PATH"));
        assert!(message("folder:").contains("folder:PATH"));
        assert!(message("aircraft:/x?level=familie").contains("did you mean `family`?"));
        assert!(message("cars:/x?level=family").contains("only `aircraft` has"));
        assert!(message("aircraft:/x?train=val").contains("there are: trainval, train_mini"));
        assert!(message("inat2018:/x?train=train_mini").contains("only `inat2021` has"));
        assert!(message("folder:/x?holdout=91").contains("1 to 90"));
        for fold in ["3", "0/5", "6/5", "1/1", "a/b"] {
            assert!(message(&format!("folder:/x?fold={fold}")).contains("`1/5`"), "{fold}");
        }
        assert!(message("synthetic:/x").contains("no path"));
        assert!(message("").contains("unknown kind"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<Spec>();
        }

        #[test]
        fn survives_being_written_and_read(
            kind in 0..Kind::ALL.len(), path in "/[a-z ?&=:.é]{1,12}", classes in proptest::option::of(1_usize..500),
            size in proptest::option::of(1_usize..500), seed in proptest::option::of(any::<u64>()),
            level in proptest::option::of(0_usize..3), train in any::<bool>(),
            holdout in proptest::option::of(1_usize..=90), fold in proptest::option::of((2_usize..9, 1_usize..9)),
        ) {
            let kind = Kind::ALL[kind];
            let path = (kind != Kind::Synthetic).then(|| PathBuf::from(path));
            let level = level.filter(|_| kind == Kind::Aircraft).map(|l| Level::ALL[l]);
            let train = train.then_some(if kind == Kind::Inat2021 { TrainOn::TrainMini } else { TrainOn::TrainVal });
            let fold = fold.map(|(of, number)| Fold { number: number.min(of), of });
            let spec = Spec { kind, path, classes, size, seed, level, train, holdout, fold };
            prop_assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        }
    }
}
