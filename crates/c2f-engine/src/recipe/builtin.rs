//! The recipes in assets/recipes.

use toml::Table;

/// Names of the built-in recipes.
pub const NAMES: [&str; 2] = ["default", "quickstart"];

/// The text of a built-in recipe.
pub fn text(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some(include_str!("../../assets/recipes/default.toml")),
        "quickstart" => Some(include_str!("../../assets/recipes/quickstart.toml")),
        _ => None,
    }
}

/// The recipe `default`, which has a value for every field but `data` and `weights`.
pub fn defaults() -> Table {
    let text = include_str!("../../assets/recipes/default.toml");
    text.parse().unwrap_or_else(|e| unreachable!("a test parses default.toml: {e}"))
}
