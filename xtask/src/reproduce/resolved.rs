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
