//! How long it takes to find out which pictures a large data set has: half a million files, in folders and in a list.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::programs::Programs;
use crate::process::json;
use crate::table::{Table, digits, median, or_unknown};

const CLASSES: usize = 1000;
const PICTURES: usize = 500;

/// What a run prints.
#[derive(Deserialize)]
struct Indexed {
    pictures: usize,
    seconds: f64,
    peak_rss_mb: Option<f64>,
}

/// Makes the files, measures `rounds` times, and removes them.
pub fn table(programs: &Programs, rounds: u32) -> Result<Table> {
    let folder = programs.scratch("index-bench");
    remove(&folder)?;
    eprintln!("index: makes {} files", CLASSES * PICTURES);
    let list = make(&folder, CLASSES, PICTURES)?;
    let mut table = Table::new(&["files that the operating system has seen just before", "seconds", "peak MB"]);
    let pictures = folder.join("pictures");
    for (name, spec) in [
        ("in a folder for each class", format!("folder:{}", pictures.display())),
        ("in a list", format!("list:{}", list.display())),
    ] {
        let mut runs = Vec::new();
        for _ in 0..rounds {
            let mut command = programs.c2f("examples/index");
            command.arg(&spec);
            let run: Indexed = json(command)?;
            ensure!(run.pictures == CLASSES * PICTURES, "{spec}: {} pictures", run.pictures);
            runs.push(run);
        }
        let memory = runs.iter().filter_map(|run| run.peak_rss_mb).max_by(f64::total_cmp);
        let seconds = median(runs.iter().map(|run| run.seconds).collect());
        table.push([format!("{} {name}", CLASSES * PICTURES), digits(seconds), or_unknown(memory)]);
    }
    remove(&folder)?;
    Ok(table)
}

/// Empty files in `folder/pictures/class/`, and a list of them, whose path is given.
fn make(folder: &Path, classes: usize, pictures: usize) -> Result<std::path::PathBuf> {
    let mut lines = String::new();
    for class in 0..classes {
        let name = format!("class_{class:04}");
        let path = folder.join("pictures").join(&name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        for picture in 0..pictures {
            let file = format!("{class:04}_{picture:06}.jpg");
            File::create(path.join(&file))?;
            writeln!(lines, "pictures/{name}/{file},{name}")?;
        }
    }
    let list = folder.join("list.csv");
    fs::write(&list, lines)?;
    Ok(list)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
