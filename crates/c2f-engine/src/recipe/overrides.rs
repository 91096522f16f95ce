//! Fields by their dotted names.

use toml::{Table, Value};

use super::builtin;
use crate::{Error, Result};

/// The fields that the recipe `default` leaves open.
const OPTIONAL: [&str; 2] = ["data", "weights"];

/// Fields that had another name, which recipes may still use: the old one and today's.
const RENAMED: [Renamed; 5] = [
    ("optimizer.accumulate", "optimizer.grad_accum_steps"),
    ("optimizer.backbone_factor", "optimizer.backbone_lr_scale"),
    ("augment.erase", "augment.random_erasing"),
    ("loss.diversity_weight", "loss.attention_similarity_weight"),
    ("checkpoint.every_steps", "checkpoint.every_batches"),
];

/// A field that had another name: its old name and today's.
pub type Renamed = (&'static str, &'static str);

/// What became of a field, if the key is its old name.
pub fn renamed(key: &str) -> Option<Renamed> {
    RENAMED.into_iter().find(|(old, _)| *old == key)
}

/// Gives every field the name that it has today, and tells the old ones that there were.
pub fn rename(table: &mut Table) -> Result<Vec<Renamed>> {
    let mut found = Vec::new();
    for (old, new) in RENAMED {
        let fields = flatten(table);
        let Some((_, value)) = fields.iter().find(|(name, _)| name == old) else { continue };
        if fields.iter().any(|(name, _)| name == new) {
            return Err(Error::field(old, value, format!("only {new}, as it is called today")));
        }
        put(table, new, value.clone());
        remove(table, old);
        found.push((old, new));
    }
    Ok(found)
}

fn remove(table: &mut Table, key: &str) {
    match key.split_once('.') {
        None => drop(table.remove(key)),
        Some((outer, inner)) => {
            if let Some(Value::Table(table)) = table.get_mut(outer) {
                remove(table, inner);
            }
        }
    }
}

/// Every field with its dotted name.
pub fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                fields.extend(flatten(inner).into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            other => fields.push((key.clone(), other.clone())),
        }
    }
    fields
}

/// Whether all fields of `table` exist.
pub fn check_names(table: &Table) -> Result<()> {
    let known = known();
    flatten(table).into_iter().try_for_each(|(key, _)| check_name(&key, &known))
}

/// Puts every field of `from` into `into`.
pub fn merge(into: &mut Table, from: &Table) {
    for (key, value) in flatten(from) {
        put(into, &key, value);
    }
}

/// Sets one field from the text of the command line.
pub fn set(table: &mut Table, key: &str, text: &str) -> Result<()> {
    check_name(key, &known())?;
    if OPTIONAL.contains(&key) && text.is_empty() {
        table.remove(key);
        return Ok(());
    }
    let is_text = OPTIONAL.contains(&key)
        || flatten(&builtin::defaults()).iter().any(|(name, value)| name == key && value.is_str());
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("value"));
    let value = match parsed {
        Some(value) if !is_text || value.is_str() => value,
        _ if is_text => Value::String(text.to_owned()),
        _ => return Err(Error::field(key, text, "a number, true or false, or [a, b]")),
    };
    put(table, key, value);
    Ok(())
}

/// Puts `value` under a dotted name.
pub fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((outer, inner)) => {
            if !matches!(table.get(outer), Some(Value::Table(_))) {
                table.insert(outer.to_owned(), Value::Table(Table::new()));
            }
            if let Some(Value::Table(table)) = table.get_mut(outer) {
                put(table, inner, value);
            }
        }
    }
}

fn known() -> Vec<String> {
    let fields = flatten(&builtin::defaults()).into_iter().map(|(name, _)| name);
    fields.chain(OPTIONAL.map(str::to_owned)).collect()
}

fn check_name(key: &str, known: &[String]) -> Result<()> {
    if known.iter().any(|name| name == key) {
        return Ok(());
    }
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |name: &str| strsim::jaro_winkler(key, name).max(strsim::jaro_winkler(&last(key), &last(name)));
    let mut near: Vec<(f64, &String)> = known.iter().map(|name| (likeness(name), name)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = near.into_iter().take(3).filter(|(score, _)| *score > 0.7).map(|(_, name)| name.clone()).collect();
    Err(Error::UnknownField { field: key.to_owned(), near })
}
