//! Whether a finished run was trained as it would be today.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// What c2f-train makes of the recipe in `text`: what it doesn't say is as in `assets/recipes/default.toml`.
///
/// # Errors
/// If one of them isn't TOML or can't be read.
pub fn resolve(root: &Path, text: &str) -> Result<Map<String, Value>> {
    let defaults = root.join("assets/recipes/default.toml");
    let name = || defaults.display().to_string();
    let mut resolved = toml::from_str(&std::fs::read_to_string(&defaults).with_context(name)?).with_context(name)?;
    merge(&mut resolved, toml::from_str(text).context("recipe")?);
    Ok(resolved)
}

/// A recipe with `settings`, each as `--set` takes it: `key=value`, where a value that isn't TOML is a string.
///
/// # Errors
/// If a setting has no value, or its key isn't one.
pub fn with_settings(recipe: &Map<String, Value>, settings: &[String]) -> Result<Map<String, Value>> {
    let mut changed = recipe.clone();
    for setting in settings {
        let (key, value) = setting.split_once('=').with_context(|| format!("`{setting}` isn't KEY=VALUE"))?;
        let table = toml::from_str(setting).or_else(|_| toml::from_str(&format!("{key} = '{value}'")));
        merge(&mut changed, table.with_context(|| setting.clone())?);
    }
    Ok(changed)
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// The first field that `run` was trained with another value of than `resolved` has, by its dotted name. Fields that only one
/// of them has are passed over: a setting that is new since, and the seed's or the row's, which are in `except`.
pub fn difference(run: &Map<String, Value>, resolved: &Map<String, Value>, except: &[&str]) -> Option<String> {
    fields(resolved, "").into_iter().find_map(|(name, value)| {
        let mut trained = run.get(name.split('.').next()?)?;
        for part in name.split('.').skip(1) {
            trained = trained.get(part)?;
        }
        (!same(trained, value) && !except.contains(&name.as_str())).then_some(name)
    })
}

/// Numbers are compared as f32, which some fields of a recipe are.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().map(|a| a as f32) == b.as_f64().map(|b| b as f32),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

fn fields<'a>(table: &'a Map<String, Value>, prefix: &str) -> Vec<(String, &'a Value)> {
    let field = |(key, value): (&String, &'a Value)| {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(table) => fields(table, &format!("{name}.")),
            value => vec![(name, value)],
        }
    };
    table.iter().flat_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Map<String, Value> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_recipe_is_completed_by_the_defaults() {
        let root = crate::chores::root().unwrap();
        let resolved = resolve(&root, "epochs = 3\n[optimizer]\nlr = 0.5").unwrap();
        assert_eq!((&resolved["epochs"], &resolved["optimizer"]["lr"]), (&Value::from(3), &Value::from(0.5)));
        assert!(resolved["optimizer"]["momentum"].is_number() && resolved["ws_dan"].is_object());
    }

    #[test]
    fn settings_change_a_recipe() {
        let recipe = table("epochs = 3\nmethod = 'baseline'\n[inverse]\nmode = 'zoom'\narea_target = 0.4");
        let settings = ["method=attention", "inverse.area_target=0.6", "epochs=6"].map(str::to_owned);
        let changed = with_settings(&recipe, &settings).unwrap();
        assert_eq!(changed, table("epochs = 6\nmethod = 'attention'\n[inverse]\nmode = 'zoom'\narea_target = 0.6"));
        assert!(with_settings(&recipe, &["epochs".to_owned()]).unwrap_err().to_string().contains("`epochs`"));
    }

    #[test]
    fn a_changed_default_is_found_by_its_name() {
        let run =
            table("epochs = 3\nseed = 2\n[loss]\ncenter_weight = 1.0\n[augment]\nscale = [0.4000000059604645, 1.0]");
        let same = table(
            "epochs = 3\nseed = 1\n[augment]\nscale = [0.4, 1]\n[loss]\ncenter_weight = 1\nnew = 5\n[also_new]\nx = 1",
        );
        assert_eq!(difference(&run, &same, &["seed"]), None);
        assert_eq!(difference(&run, &same, &[]).as_deref(), Some("seed"));
        let other = table("epochs = 3\nseed = 2\n[loss]\ncenter_weight = 0.5");
        assert_eq!(difference(&run, &other, &[]).as_deref(), Some("loss.center_weight"));
    }
}
