//! The settings of a run.
//!
//! A recipe is TOML. What it doesn't say is as in the recipe `default`, so `assets/recipes/default.toml` is both the
//! list of all fields and the only place of their defaults. A [`Recipe`] that was loaded has been checked.

mod builtin;
mod check;
mod method;
mod overrides;
mod tables;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use c2f_data::LoaderConfig;
use c2f_files::expand_home;
use serde::{Deserialize, Serialize};
use toml::Table;

pub use method::{Looks, Method};
pub use tables::{
    Attention, Augment, AugmentPolicy, Checkpoint, ClassWeights, Ema, Features, Fit, Inverse, IsqrtCov, Loader, Loss,
    McLoss, Mode, Optimizer, OptimizerKind, Pmg, Probe, RegionFrom, Sampling, Schedule, ScheduleKind, Steps, WsDan,
};

use overrides::Renamed;

use crate::{Error, Result};

/// The longest recipe that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// All settings of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Which row of the table: what the model is made of and how it is trained.
    pub method: Method,
    /// timm's or torchvision's name of the feature extractor.
    pub backbone: String,
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures per forward pass.
    pub batch_size: usize,
    /// Side, in pixels, of what the network looks at.
    pub image_size: usize,
    /// Decides initial weights, order and augmentation.
    pub seed: u64,
    /// The data set, as `kind:path` (see [`c2f_data::Spec`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// File of pretrained backbone weights; on the command line also a name on the Hugging Face hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Which part of the backbone is used, and which part of that is trained.
    pub features: Features,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// What is done to a picture on its way to the network.
    pub augment: Augment,
    /// Attention maps and part features.
    pub attention: Attention,
    /// The inverse mapping and the fine stage.
    pub inverse: Inverse,
    /// Attention crop and drop.
    pub ws_dan: WsDan,
    /// Covariance pooling.
    pub isqrt_cov: IsqrtCov,
    /// Feature channels that belong to classes.
    pub mc_loss: McLoss,
    /// Classifiers at several endpoints.
    pub pmg: Pmg,
    /// Weights of the terms of the loss.
    pub loss: Loss,
    /// Threads that read pictures.
    pub loader: Loader,
    /// Moving average of the weights.
    pub ema: Ema,
    /// When to save.
    pub checkpoint: Checkpoint,
}

impl Recipe {
    /// How pictures are loaded to be looked at once, in their order.
    pub(crate) fn loader_config(&self) -> LoaderConfig {
        LoaderConfig {
            batch_size: self.batch_size,
            threads: self.loader.threads,
            prefetch: self.loader.prefetch,
            shuffle: false,
            balanced: false,
            drop_last: false,
            seed: self.seed,
            max_unreadable: self.loader.max_unreadable,
            cache_mb: 0,
            limits: self.loader.limits(),
        }
    }

    /// The built-in recipe of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn builtin(name: &str) -> Result<Self> {
        let text = builtin::text(name)
            .ok_or_else(|| Error::UnknownRecipe { name: name.to_owned(), known: builtin::NAMES.to_vec() })?;
        Self::from_toml(name, text)
    }

    /// Names of the built-in recipes.
    pub fn builtin_names() -> &'static [&'static str] {
        &builtin::NAMES
    }

    /// The recipe in a TOML file.
    ///
    /// # Errors
    /// If it can't be read, isn't TOML, names an unknown field or has a value out of range.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = c2f_files::text(path, LONGEST)?;
        let (recipe, renamed) = Self::parse(&path.display().to_string(), &text)?;
        renamed.into_iter().for_each(say_renamed);
        Ok(recipe)
    }

    /// The built-in recipe of that name or, if there is none, the recipe in the file of that name.
    ///
    /// # Errors
    /// If there is neither, or the recipe is wrong.
    pub fn load(name_or_file: &str) -> Result<Self> {
        let file = expand_home(Path::new(name_or_file));
        if builtin::text(name_or_file).is_none() && file.is_file() {
            Self::from_file(&file)
        } else {
            Self::builtin(name_or_file)
        }
    }

    /// The recipe in a text; `name` is what errors call it.
    ///
    /// # Errors
    /// If it isn't TOML, names an unknown field or has a value out of range.
    pub fn from_toml(name: &str, text: &str) -> Result<Self> {
        Ok(Self::parse(name, text)?.0)
    }

    /// The recipe, and the old names of fields that it uses.
    fn parse(name: &str, text: &str) -> Result<(Self, Vec<Renamed>)> {
        let mut own: Table = text.parse().map_err(|e: toml::de::Error| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::RecipeSyntax { name: name.to_owned(), message: format!("line {line}: {}", e.message()) }
        })?;
        let renamed = overrides::rename(&mut own)?;
        overrides::check_names(&own)?;
        let mut table = builtin::defaults();
        overrides::merge(&mut table, &own);
        let recipe = Self::from_table(table)?;
        recipe.validate()?;
        Ok((recipe, renamed))
    }

    /// Changes one field, given as `dotted.name=value`. The value is TOML, except that a text needs no quotes; an empty
    /// one takes `data` or `weights` away. Ranges are not checked, since two fields may have to change together: call
    /// [`Recipe::validate`] after the last.
    ///
    /// # Errors
    /// If the field doesn't exist or can't have a value of that type.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let (key, value) = assignment.split_once('=').ok_or_else(|| Error::Assignment(assignment.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        let renamed = overrides::renamed(key);
        renamed.into_iter().for_each(say_renamed);
        let key = renamed.map_or(key, |(_, today)| today);
        let mut table = self.to_table();
        overrides::set(&mut table, key, value)?;
        *self = Self::from_table(table).map_err(|error| match error {
            Error::Field { expected, .. } => Error::field(key, value, expected),
            other => other,
        })?;
        Ok(())
    }

    /// The recipe as TOML, all fields included.
    pub fn to_toml(&self) -> String {
        self.to_table().to_string()
    }

    /// Names of the fields in which two recipes would train differently: all but where the data and the pretrained
    /// weights are, how pictures are read, and when to save.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let same_place = |recipe: &Self| {
            let loader = Loader { sampling: recipe.loader.sampling, ..self.loader.clone() };
            let checkpoint = self.checkpoint.clone();
            let recipe = Self { data: None, weights: None, loader, checkpoint, ..recipe.clone() };
            overrides::flatten(&recipe.to_table())
        };
        let fields = same_place(self).into_iter().zip(same_place(other));
        fields.filter(|(mine, theirs)| mine != theirs).map(|((name, _), _)| name).collect()
    }

    /// Names of the fields in which a run of this recipe can't be resumed with `other`: its [`differences`](Self::differences)
    /// but for `epochs`, which may grow.
    pub fn differences_to_resume(&self, other: &Self) -> Vec<String> {
        let mut changed = self.differences(other);
        changed.retain(|name| name != "epochs" || other.epochs < self.epochs);
        changed
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_else(|e| unreachable!("a recipe has only TOML's types: {e}"))
    }

    /// `table` has a value for every field that must have one, so what fails is a value's type.
    fn from_table(table: Table) -> Result<Self> {
        for (key, value) in overrides::flatten(&table) {
            let mut probe = builtin::defaults();
            overrides::put(&mut probe, &key, value.clone());
            if let Err(e) = probe.try_into::<Self>() {
                // "invalid type: string, expected f64": only the second half is news.
                let expected = e.message().rsplit_once("expected ").map_or(e.message(), |(_, expected)| expected);
                return Err(Error::field(&key, value, expected));
            }
        }
        table.try_into().map_err(|e: toml::de::Error| Error::RecipeSyntax {
            name: "recipe".to_owned(),
            message: e.message().to_owned(),
        })
    }
}

/// Says once in the life of the process that a field has another name today.
fn say_renamed((old, today): Renamed) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(old) {
        tracing::warn!("recipe: {old} is called {today} today");
    }
}
