//! `c2f-train weights`: what is in a weight file.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use c2f_backbone::{Inspection, LoadReport, inspect_weights};
use c2f_engine::Error;
use serde_json::{Value, json};

use super::weights_file::weights_file;
use super::{print, print_json};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The tensors of a weight file, whose names they are, and which backbones they fit
    Inspect {
        /// A .safetensors or .pth file, or the name of one on the Hugging Face hub
        #[arg(value_name = "FILE|NAME")]
        file: String,
        /// Compare with this backbone
        #[arg(long, value_name = "NAME")]
        backbone: Option<String>,
        /// One JSON value with every tensor
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Command) -> Result<()> {
    let Command::Inspect { file, backbone, json } = command;
    let file = &weights_file(file)?;
    let inspection = inspect_weights(file, backbone.as_deref()).map_err(Error::from)?;
    if *json { print_json(&to_json(&inspection)) } else { print(&table(file, &inspection, backbone.as_deref())?) }
}

fn to_json(inspection: &Inspection) -> Value {
    let tensors = inspection
        .tensors
        .iter()
        .map(|(name, dtype, shape)| json!({ "name": name, "dtype": dtype.as_str(), "shape": shape }));
    let named = |tensors: &[c2f_backbone::NamedShape]| -> Value {
        tensors.iter().map(|tensor| json!({ "name": tensor.name, "shape": tensor.shape })).collect()
    };
    let report = inspection.report.as_ref().map(|report| {
        let mismatched =
            report.mismatched.iter().map(|m| json!({ "name": m.name, "expected": m.expected, "found": m.found }));
        json!({
            "fits": report.fits(),
            "matched": report.loaded,
            "ignored": report.ignored,
            "missing": named(&report.missing),
            "unexpected": named(&report.unexpected),
            "mismatched": mismatched.collect::<Value>(),
        })
    });
    json!({
        "tensors": tensors.collect::<Value>(),
        "naming": inspection.naming,
        "not_finite": inspection.not_finite,
        "fits": inspection.fits,
        "comparison": report,
    })
}

fn table(file: &Path, inspection: &Inspection, backbone: Option<&str>) -> Result<String> {
    let values: usize = inspection.tensors.iter().map(|(_, _, shape)| shape.iter().product::<usize>()).sum();
    let (count, naming) = (inspection.tensors.len(), inspection.naming.unwrap_or("unknown"));
    let fits =
        if inspection.fits.is_empty() { "no registered backbone".to_owned() } else { inspection.fits.join(", ") };
    let mut text =
        format!("{}: {count} tensors, {values} values\n  names   {naming}\n  fits    {fits}\n", file.display());
    for name in &inspection.not_finite {
        writeln!(text, "  {name} holds NaN or infinity: a network with it can't answer")?;
    }
    if let (Some(report), Some(backbone)) = (&inspection.report, backbone) {
        compare(&mut text, report, backbone)?;
    } else {
        for (name, dtype, shape) in &inspection.tensors {
            writeln!(text, "  {name}  {} {shape:?}", dtype.as_str())?;
        }
    }
    Ok(text)
}

fn compare(text: &mut String, report: &LoadReport, backbone: &str) -> Result<()> {
    let verdict = if report.fits() { "fits" } else { "doesn't fit" };
    writeln!(text, "  {verdict} {backbone}: {} tensors match, {} are not its", report.loaded, report.ignored.len())?;
    for (what, tensors) in [("missing", &report.missing), ("unexpected", &report.unexpected)] {
        for tensor in tensors {
            writeln!(text, "  {what:<10}  {}  {:?}", tensor.name, tensor.shape)?;
        }
    }
    for m in &report.mismatched {
        writeln!(text, "  shape       {}  {:?} in the file, {:?} in {backbone}", m.name, m.found, m.expected)?;
    }
    for name in &report.ignored {
        writeln!(text, "  ignored     {name}")?;
    }
    Ok(())
}
