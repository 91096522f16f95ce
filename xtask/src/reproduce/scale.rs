//! How large the runs are: which recipes, which data by default, how many seeds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Map, Value};

/// A size at which the table can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Whether it all works: drawn pictures, minutes.
    Smoke,
    /// What docs/results shows: hours on two cores.
    Cpu,
    /// What the field publishes: 448 pixels, Inception-v3 up to Mixed_6e, 32 maps, all classes; for a GPU.
    Paper,
}

/// What the rows need to know of a recipe of assets/recipes/table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Its `epochs`.
    pub epochs: usize,
    /// Its `inverse.coarse_epochs`.
    pub coarse_epochs: usize,
    /// Its `image_size`.
    pub image_size: usize,
}

impl Scale {
    /// The file of the recipe for a data set of that kind.
    pub fn recipe_file(self, root: &Path, kind: &str) -> PathBuf {
        let name = match (self, kind) {
            (Self::Smoke, _) => "smoke",
            (Self::Cpu, "synthetic") => "cpu-drawings",
            (Self::Cpu, _) => "cpu-photographs",
            (Self::Paper, _) => "paper",
        };
        root.join("assets/recipes/table").join(name).with_extension("toml")
    }

    /// Seeds of each row where the command line names none.
    pub fn seeds(self) -> u64 {
        match self {
            Self::Smoke => 1,
            Self::Cpu | Self::Paper => 3,
        }
    }

    /// The data sets where the command line names none. `photographs` is the folder of those with pictures.
    ///
    /// # Errors
    /// If the scale has no data of its own, or there is no such folder.
    pub fn data(self, photographs: Option<&Path>) -> Result<Vec<String>> {
        match self {
            Self::Smoke => Ok(vec!["synthetic?classes=4&size=120".to_owned()]),
            Self::Cpu => {
                let folder = photographs.context(
                    "give data sets by --data, or set C2F_TEST_DATA to the folder of cub200_2010 and stanford_cars",
                )?;
                let folder = folder.display();
                Ok(vec![
                    "synthetic?size=2400".to_owned(),
                    format!("cub2010:{folder}/cub200_2010?classes=30"),
                    format!("cars:{folder}/stanford_cars?classes=30"),
                    format!("cub2010:{folder}/cub200_2010?classes=100"),
                ])
            }
            Self::Paper => anyhow::bail!("the scale `paper` needs the data sets: --data cub2011:DIR"),
        }
    }
}

impl Recipe {
    /// What the rows need of a recipe, all of whose settings are given.
    ///
    /// # Errors
    /// If it doesn't say it, or leaves nothing for the fine look.
    pub fn new(resolved: &Map<String, Value>) -> Result<Self> {
        let number = |field: &str| {
            let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
            let value = resolved.get(first).and_then(|value| rest.map_or(Some(value), |rest| value.get(rest)));
            let number = value.and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            number.with_context(|| format!("the rows of the table need `{field}`"))
        };
        let recipe = Self {
            epochs: number("epochs")?,
            coarse_epochs: number("inverse.coarse_epochs")?,
            image_size: number("image_size")?,
        };
        ensure!(recipe.coarse_epochs < recipe.epochs, "inverse.coarse_epochs leaves no epoch for the fine look");
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scale_has_its_recipes() {
        let root = crate::chores::root().unwrap();
        for scale in Scale::value_variants() {
            for kind in ["synthetic", "cub2011"] {
                assert!(scale.recipe_file(&root, kind).is_file());
            }
        }
    }

    #[test]
    fn a_recipe_leaves_epochs_for_the_fine_look() {
        let recipe = |coarse: u64| {
            let inverse = serde_json::json!({ "coarse_epochs": coarse });
            let resolved = [("epochs", 5.into()), ("image_size", 112.into()), ("inverse", inverse)];
            Recipe::new(&resolved.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        assert_eq!(recipe(3).unwrap(), Recipe { epochs: 5, coarse_epochs: 3, image_size: 112 });
        assert!(recipe(5).unwrap_err().to_string().contains("coarse_epochs"));
        assert!(Recipe::new(&Map::new()).unwrap_err().to_string().contains("`epochs`"));
    }

    #[test]
    fn data_is_asked_for_where_there_is_none() {
        assert_eq!(Scale::Cpu.data(Some(Path::new("/d"))).unwrap().len(), 4);
        assert!(Scale::Cpu.data(None).unwrap_err().to_string().contains("--data"));
        assert!(Scale::Paper.data(None).unwrap_err().to_string().contains("--data"));
    }
}
