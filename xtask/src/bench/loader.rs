//! Reading photographs for training: c2f's loader and torchvision's, in turn.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::programs::Programs;
use crate::process::json;
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
    let mut table =
        Table::new(&["pictures", "c2f images/s", "torchvision (Pillow)", "ratio", "torchvision (tensors)", "ratio"]);
    for (name, folder) in FOLDERS {
        for size in IMAGE_SIZES {
            let (mut c2f, mut pillow, mut tensors) = (Vec::new(), Vec::new(), Vec::new());
            for round in 1..=rounds {
                let folder = data.join(folder);
                let ours = c2f_rate(programs, &folder, size)?;
                let slow = torch_rate(programs, &folder, size, false)?;
                let fast = torch_rate(programs, &folder, size, true)?;
                eprintln!(
                    "loader: {name} to {size}, round {round} of {rounds}: c2f {ours:.0}, torchvision {slow:.0} and {fast:.0}"
                );
                c2f.push(ours);
                pillow.push(slow);
                tensors.push(fast);
            }
            table.push(row(format!("{name} to {size}"), median(c2f), median(pillow), median(tensors)));
        }
    }
    Ok(table)
}

fn c2f_rate(programs: &Programs, folder: &Path, size: u32) -> Result<f64> {
    let mut command = programs.c2f("examples/loader");
    command.arg(folder).args([size.to_string(), programs.threads().to_string()]);
    Ok(json::<Rate>(command)?.images_per_s)
}

/// On Pillow's pictures, or on tensors.
fn torch_rate(programs: &Programs, folder: &Path, size: u32, tensors: bool) -> Result<f64> {
    let mut command = programs.torch("torch_loader.py");
    command.arg("--folder").arg(folder).arg(format!("--image-size={size}")).args(tensors.then_some("--tensors"));
    Ok(json::<Rate>(command)?.images_per_s)
}

fn row(name: String, c2f: f64, pillow: f64, tensors: f64) -> [String; 6] {
    [name, digits(c2f), digits(pillow), digits(c2f / pillow), digits(tensors), digits(c2f / tensors)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_c2f_to_torchvision() {
        let row = row("cars".to_owned(), 600.0, 200.0, 300.0);
        assert_eq!(row, ["cars", "600", "200", "3.00", "300", "2.00"].map(str::to_owned));
    }
}
