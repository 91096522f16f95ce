//! What was measured, and where.

use std::fs;

use anyhow::Result;
use serde::Deserialize;

use super::programs::Programs;
use crate::process::json;
use crate::table::or_unknown;

/// What `torch_about.py` prints.
#[derive(Deserialize)]
pub struct PyTorch {
    torch: String,
    torchvision: String,
    timm: String,
    instruction_set: String,
    /// Memory of a Python that has imported torch and done nothing yet.
    imported_mb: Option<f64>,
    /// Rate of a product of two 2048 x 2048 matrices.
    pub matrix_product_gflops: f64,
}

/// What the example `layers` of c2f-ops prints with `--about`.
#[derive(Deserialize)]
pub struct C2f {
    instruction_set: String,
}

impl C2f {
    /// The instructions that c2f's kernels use.
    pub fn instruction_set(&self) -> &str {
        &self.instruction_set
    }
}

/// Asks PyTorch.
pub fn torch(programs: &Programs) -> Result<PyTorch> {
    json(programs.torch("torch_about.py"))
}

/// Asks c2f, which must have been built.
pub fn c2f(programs: &Programs) -> Result<C2f> {
    let mut command = programs.c2f("examples/layers");
    command.arg("--about");
    json(command)
}

/// The line above the tables.
pub fn line(torch: &PyTorch, c2f_instructions: &str, threads: u32) -> String {
    let PyTorch { torch: version, torchvision, timm, instruction_set, imported_mb, .. } = torch;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor(&cpuinfo).unwrap_or("unknown processor");
    let imported = or_unknown(*imported_mb);
    let libraries = format!("torchvision {torchvision}, timm {timm}");
    format!(
        "{processor}, {threads} threads; c2f with {c2f_instructions}; PyTorch {version} ({libraries}), eager, \
         channels-last, with {instruction_set}, {imported} MB once it is imported"
    )
}

/// The model's name in what Linux says about the processors.
fn processor(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\n";
        assert_eq!(processor(cpuinfo), Some("AMD EPYC"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
