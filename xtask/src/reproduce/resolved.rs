//! Whether a finished run was trained as it would be today.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::process::json;

/// Every setting of the recipe in `file`, with `settings` as `--set` takes them, as c2f-train makes them out.
///
/// # Errors
/// If the recipe or a setting is wrong.
pub fn resolve(program: &Path, file: &Path, settings: &[String]) -> Result<Map<String, Value>> {
    let mut show = Command::new(program);
    show.args(["recipe", "show", "--json"]).arg(file).args(settings.iter().flat_map(|setting| ["--set", setting]));
    json(show)
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
