//! Reading photographs for training: c2f's loader and torchvision's, in turn.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::programs::Programs;
use crate::programs::json;
use crate::table::{Table, digits, median};

/// Folders of JPEGs in folders, below that of `C2F_TEST_DATA`.
const FOLDERS: [(&str, &str); 2] = [("Stanford Cars", "stanford_cars"), ("CUB-200-2010", "cub200_2010/images")];
const IMAGE_SIZES: [u32; 2] = [224, 448];

/// What a run prints, on either side.
#[derive(Deserialize)]
struct Rate {
    images_per_s: f64,
}

/// Measures each folder at each size `rounds` times on each side.
pub fn table(programs: &Programs, data: &Path, rounds: u32) -> Result<Table> {
    let mut table = Table::new(&["pictures", "c2f images/s", "torchvision images/s", "ratio"]);
    for (name, folder) in FOLDERS {
        for size in IMAGE_SIZES {
            let (mut c2f, mut torch) = (Vec::new(), Vec::new());
            for round in 1..=rounds {
                let folder = data.join(folder);
                let (ours, theirs) = (c2f_rate(programs, &folder, size)?, torch_rate(programs, &folder, size)?);
                eprintln!(
                    "loader: {name} to {size}, round {round} of {rounds}: c2f {ours:.0}, torchvision {theirs:.0}"
                );
                c2f.push(ours);
                torch.push(theirs);
            }
            table.push(row(format!("{name} to {size}"), median(c2f), median(torch)));
        }
    }
    Ok(table)
}

fn c2f_rate(programs: &Programs, folder: &Path, size: u32) -> Result<f64> {
    let mut command = programs.c2f("examples/loader");
    command.arg(folder).args([size.to_string(), programs.threads().to_string()]);
    Ok(json::<Rate>(command)?.images_per_s)
}

fn torch_rate(programs: &Programs, folder: &Path, size: u32) -> Result<f64> {
    let mut command = programs.torch("torch_loader.py");
    command.arg("--folder").arg(folder).arg(format!("--image-size={size}"));
    Ok(json::<Rate>(command)?.images_per_s)
}

fn row(name: String, c2f: f64, torch: f64) -> [String; 4] {
    [name, digits(c2f), digits(torch), digits(c2f / torch)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_c2f_to_torchvision() {
        assert_eq!(row("cars".to_owned(), 600.0, 200.0), ["cars", "600", "200", "3.00"].map(str::to_owned));
    }
}
