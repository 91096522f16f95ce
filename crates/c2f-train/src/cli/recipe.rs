//! `c2f-train recipe`: what a recipe comes to.

use anyhow::Result;
use c2f_engine::Recipe;

use super::{print, print_json};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Every setting of a recipe, its own and those that it leaves as they are in `default`; what is printed is a recipe
    Show {
        /// A built-in recipe or a TOML file
        #[arg(value_name = "NAME|FILE", default_value = "default")]
        recipe: String,
        /// Change a field by its dotted name; may be given again
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// One JSON value
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Command) -> Result<()> {
    let Command::Show { recipe, set, json } = command;
    let mut recipe = Recipe::load(recipe)?;
    for assignment in set {
        recipe.set(assignment)?;
    }
    recipe.validate()?;
    if *json { print_json(&recipe) } else { print(&recipe.to_toml()) }
}
