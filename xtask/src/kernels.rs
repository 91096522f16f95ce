//! The kernels for NVIDIA's cards, as NVIDIA's own compiler sees them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::output;

/// What the kernels are compiled for: the oldest cards that CUDA 13 knows, and the newest that was planned for.
const CARDS: [&str; 2] = ["75", "90"];

/// Compiles `kernels.cu` as on a card, and fails where a kernel's registers don't suffice. Without nvcc it says so and passes.
pub fn check(root: &Path) -> Result<()> {
    let folder = std::env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin"));
    let tool = |name: &str| match folder.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file()) {
        Some(path) => Command::new(path),
        None => Command::new(name),
    };
    if tool("nvcc").arg("--version").output().is_err() {
        eprintln!("skipped: there is no nvcc, neither in $CUDA_HOME/bin nor on the path");
        return Ok(());
    }
    let sources = root.join("crates/c2f-ops/src/cuda");
    let launch = std::fs::read_to_string(sources.join("launch/mod.rs"))?;
    let shapes = ["BLOCK", "RUN"].map(|name| Ok(format!("-D{name}={}", constant(&launch, name)?)));
    let shapes = shapes.into_iter().collect::<Result<Vec<_>>>()?;
    let kernels = std::fs::read_to_string(sources.join("kernels.cu"))?.matches("\nKERNEL ").count();
    for card in CARDS {
        for real in ["float", "double"] {
            let code = root.join(format!("target/kernels-{card}-{real}.ptx"));
            let mut compile = tool("nvcc");
            compile.args(["-ptx", "-std=c++17"]).arg(format!("-arch=compute_{card}")).arg(format!("-DReal={real}"));
            output({
                compile.args(&shapes).arg("-o").arg(&code).arg(sources.join("kernels.cu"));
                compile
            })?;
            let mut assemble = tool("ptxas");
            assemble.args(["-v", "-o"]).arg(code.with_extension("cubin")).arg(format!("-arch=sm_{card}")).arg(&code);
            let said = assemble.output().context("ptxas could not be started")?;
            let said = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
            let spilled = spills(&said);
            ensure!(spilled.is_empty(), "registers of sm_{card} don't suffice in {real} for {}", spilled.join(", "));
            let compiled = said.matches("Compiling entry function").count();
            ensure!(compiled == kernels, "ptxas compiled {compiled} of {kernels} kernels:\n{said}");
            println!("sm_{card}, {real}: {compiled} kernels, none spills");
        }
    }
    Ok(())
}

/// The value of a whole constant in Rust's source.
fn constant<'a>(source: &'a str, name: &str) -> Result<&'a str> {
    let Some((_, rest)) = source.split_once(&format!("pub const {name}: usize = ")) else {
        bail!("launch/mod.rs has no {name}")
    };
    rest.split(';').next().context("a constant ends")
}

/// The kernels that move registers to memory, by what `ptxas -v` says.
fn spills(said: &str) -> Vec<&str> {
    let (mut kernel, mut found) = ("", Vec::new());
    for line in said.lines() {
        if let Some((_, rest)) = line.split_once("entry function '") {
            kernel = rest.split('\'').next().unwrap_or_default();
        }
        if line.contains("bytes spill stores") && !line.contains(" 0 bytes spill stores") {
            found.push(kernel);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_spills_is_named() {
        let said = "ptxas info    : Compiling entry function 'one' for 'sm_90'\n\
                    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
                    ptxas info    : Compiling entry function 'two' for 'sm_90'\n\
                    8 bytes stack frame, 12 bytes spill stores, 12 bytes spill loads\n";
        assert_eq!(spills(&said.replace("\n0", "\n    0")), ["two"]);
    }

    #[test]
    fn constants_are_read() {
        assert_eq!(constant("pub const BLOCK: usize = 256;\n", "BLOCK").unwrap(), "256");
        assert!(constant("", "BLOCK").unwrap_err().to_string().contains("BLOCK"));
    }
}
