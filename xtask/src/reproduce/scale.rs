//! How large the runs are: which recipes, which data by default, how many seeds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

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

/// A recipe of assets/recipes/table, and what the rows need to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The whole file.
    pub text: String,
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
    /// Reads a recipe of assets/recipes/table.
    ///
    /// # Errors
    /// If it can't be read or doesn't say what the rows need.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| name.to_string())?;
        let table: toml::Table = text.parse().with_context(|| name.to_string())?;
        let number = |value: Option<&toml::Value>, field: &str| {
            let value = value.and_then(toml::Value::as_integer).and_then(|n| usize::try_from(n).ok());
            value.with_context(|| format!("{name}: the rows of the table need `{field}`"))
        };
        let inverse = table.get("inverse").and_then(toml::Value::as_table);
        let recipe = Self {
            epochs: number(table.get("epochs"), "epochs")?,
            coarse_epochs: number(inverse.and_then(|t| t.get("coarse_epochs")), "inverse.coarse_epochs")?,
            image_size: number(table.get("image_size"), "image_size")?,
            text,
        };
        ensure!(
            recipe.coarse_epochs < recipe.epochs,
            "{name}: inverse.coarse_epochs leaves no epoch for the second look"
        );
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
                Recipe::read(&scale.recipe_file(&root, kind)).unwrap();
            }
        }
    }

    #[test]
    fn data_is_asked_for_where_there_is_none() {
        assert_eq!(Scale::Cpu.data(Some(Path::new("/d"))).unwrap().len(), 4);
        assert!(Scale::Cpu.data(None).unwrap_err().to_string().contains("--data"));
        assert!(Scale::Paper.data(None).unwrap_err().to_string().contains("--data"));
    }
}
