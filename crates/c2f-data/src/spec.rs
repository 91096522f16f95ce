//! The text that names a data set: `kind:path?option=value&option=value`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, Result};

/// What a data set is and where it lies, as given on the command line or in a recipe.
///
/// The text is `kind:path`, then perhaps `?` and options joined by `&`: `cub2010:/data/my birds?classes=30`. The
/// kind `synthetic` has no path. Options begin at the last `?`, so a path that holds one needs one more at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How the data set is laid out.
    pub kind: Kind,
    /// The folder, or the file of a [`Kind::List`]; none for [`Kind::Synthetic`].
    pub path: Option<PathBuf>,
    /// Keep this many classes, the first ones.
    pub classes: Option<usize>,
    /// Keep at most this many pictures of each split, spread evenly over the classes; for [`Kind::Synthetic`] the
    /// number of training pictures to draw.
    pub size: Option<usize>,
    /// The seed of what is drawn at random: a split, the pictures that `size` keeps, the synthetic pictures. 0 if not
    /// given.
    pub seed: Option<u64>,
}

/// How a data set is laid out on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Caltech-UCSD Birds 200 (2010) as published.
    Cub2010,
    /// A folder for each class, perhaps inside folders `train`, `val` and `test`.
    Folder,
    /// A CSV or TSV file that names pictures and their labels.
    List,
    /// Pictures drawn by this crate.
    Synthetic,
}

impl Kind {
    /// Every kind, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Cub2010, Self::Folder, Self::List, Self::Synthetic];

    /// The kind's name in a [`Spec`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Cub2010 => "cub2010",
            Self::Folder => "folder",
            Self::List => "list",
            Self::Synthetic => "synthetic",
        }
    }
}

const OPTIONS: [&str; 3] = ["classes", "size", "seed"];

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let error = |message: String| Error::Spec { spec: text.to_owned(), message };
        let (place, options) = text.rsplit_once('?').unwrap_or((text, ""));
        let (kind, path) = match place.split_once(':') {
            Some((kind, path)) => (kind, Some(path)),
            None => (place, None),
        };
        let kind = Kind::ALL.into_iter().find(|k| k.name() == kind).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name);
            error(format!("unknown kind `{kind}`, {}", suggest(kind, &names)))
        })?;
        let path = match (kind, path) {
            (Kind::Synthetic, None | Some("")) => None,
            (Kind::Synthetic, Some(_)) => return Err(error("`synthetic` takes no path".to_owned())),
            (_, None | Some("")) => {
                return Err(error(format!("the path is missing, expected `{}:PATH`", kind.name())));
            }
            (_, Some(path)) => Some(PathBuf::from(path)),
        };
        let mut spec = Self { kind, path, classes: None, size: None, seed: None };
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
    }

    #[test]
    fn names_what_is_wrong_and_what_is_near() {
        assert!(message("cub2001:/x").contains("did you mean `cub2010`?"));
        assert!(message("nothing:/x").contains("there are: cub2010, folder, list, synthetic"));
        assert!(message("folder:/x?clases=3").contains("did you mean `classes`?"));
        assert!(message("folder:/x?classes=none").contains("classes=none"));
        assert!(message("folder:/x?classes=0").contains("at least 1"));
        assert!(message("folder:/x?classes").contains("name=value"));
        assert!(message("folder").contains("folder:PATH"));
        assert!(message("folder:").contains("folder:PATH"));
        assert!(message("synthetic:/x").contains("no path"));
        assert!(message("").contains("unknown kind"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<Spec>();
        }

        #[test]
        fn survives_being_written_and_read(
            kind in 0_usize..4, path in "/[a-z ?&=:.é]{1,12}", classes in proptest::option::of(1_usize..500),
            size in proptest::option::of(1_usize..500), seed in proptest::option::of(any::<u64>()),
        ) {
            let kind = Kind::ALL[kind];
            let path = (kind != Kind::Synthetic).then(|| PathBuf::from(path));
            let spec = Spec { kind, path, classes, size, seed };
            prop_assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        }
    }
}
