//! Chores that run other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;

/// The root of the repository.
pub fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("xtask lies in the root of the repository")?.to_path_buf())
}

/// The tests of c2f-ops' kernels and of what is made of them, which run once for each instruction set.
const KERNEL_TESTS: [&str; 9] =
    ["activation", "batch_norm", "conv", "conv_gradients", "grid_sample", "maps", "pool", "resize", "threads"];

/// Programs that use the library as somebody else's would. Each fails if it doesn't do what it says; the tests have built them.
const EXAMPLES: [&str; 4] = ["fine_tune", "attention_head", "pictures_in_memory", "nearest_neighbours"];

/// What nothing else compiles. It is only checked: its tests and its example would build candle and the operations a second time, with
/// features that its crates turn on, which takes ten minutes.
const CANDLE_DATASETS: &str = "clippy -p c2f-data -p c2f-engine --features c2f-engine/candle-datasets \
    --lib --test candle --example cifar --quiet -- -D warnings";

/// With MPI, where its compiler is: everywhere, so that the features are the same and nothing is built twice.
fn together() -> &'static [&'static str] {
    let found = Command::new("mpicc").arg("--version").output().is_ok_and(|output| output.status.success());
    if found {
        return &["--features", "c2f-train/mpi"];
    }
    eprintln!("there is no mpicc (libopenmpi-dev): what needs MPI is neither built nor tested");
    &[]
}

/// Runs the checks one after the other and stops at the first that fails.
pub fn ci(root: &Path) -> Result<()> {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(root).env("RUSTDOCFLAGS", "-D warnings");
        run(command)
    };
    cargo(&["fmt", "--all", "--check"])?;
    crate::tidy::check(root)?;
    crate::kernels::check(root)?;
    let together = together();
    let workspace = |task: &[&str], rest: &[&str]| cargo(&[task, &["--workspace"], together, rest].concat());
    workspace(&["clippy"], &["--all-targets", "--quiet", "--", "-D", "warnings"])?;
    cargo(&CANDLE_DATASETS.split(' ').collect::<Vec<_>>())?;
    workspace(&["doc"], &["--no-deps", "--quiet"])?;
    workspace(&["test"], &[])?;
    for example in EXAMPLES {
        run(Command::new(root.join("target/debug/examples").join(example)))?;
    }
    crate::reproduce::check(root, &root.join("target/debug/c2f-train"))?;
    // Where the processor hasn't the set, its best one is tested once more.
    // Whole networks take ten minutes in portable code, which has no kernels that the operations' tests don't run.
    for (set, networks) in [("avx2", &["--test", "reference"][..]), ("portable", &[])] {
        let mut command = Command::new("cargo");
        command.args(["test", "--workspace", "--quiet", "--lib"]).args(together);
        command.current_dir(root).env("C2F_SIMD", set);
        command.args(KERNEL_TESTS.iter().flat_map(|test| ["--test", test])).args(networks);
        run(command)?;
    }
    Ok(())
}

/// Runs every `tests/fixtures/*.py` of the crates.
pub fn fixtures(root: &Path, python: &Path) -> Result<()> {
    let mut scripts = Vec::new();
    for member in std::fs::read_dir(root.join("crates"))? {
        let folder = member?.path().join("tests/fixtures");
        if folder.is_dir() {
            for file in std::fs::read_dir(folder)? {
                scripts.push(file?.path());
            }
        }
    }
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "py"));
    scripts.sort();
    for script in scripts {
        let folder = script.parent().context("a script lies in a folder")?;
        let mut command = Command::new(python);
        command.arg(&script).current_dir(folder);
        run(command)?;
    }
    Ok(())
}
