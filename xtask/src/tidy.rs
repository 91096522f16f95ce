//! Rules that no compiler checks. Each keeps a promise of docs/architecture.md.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Code longer than this holds more than one idea.
const MOST_LINES: usize = 600;

/// Fails with one line for each broken rule.
pub fn check(root: &Path) -> Result<()> {
    let mut broken = Vec::new();
    let mut sources = Vec::new();
    collect(&root.join("crates"), &mut sources)?;
    collect(&root.join("xtask"), &mut sources)?;
    sources.sort();
    for path in &sources {
        let text = fs::read_to_string(path)?;
        let name = path.strip_prefix(root)?.display().to_string();
        broken.extend(complaints(&name, &text));
    }
    for member in fs::read_dir(root.join("crates"))? {
        let member = member?.path();
        let lib = fs::read_to_string(member.join("src/lib.rs"))?;
        if !lib.starts_with("#![doc = include_str!(\"../README.md\")]") {
            broken.push(format!("{}: the README is not the crate's documentation", member.display()));
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

fn complaints(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut complain = |line: usize, what: &str| found.push(format!("{name}:{line}: {what}"));
    // The words are put together here so that this file does not hold them.
    let unfinished = [["TO", "DO"], ["FIX", "ME"], ["to", "do!("], ["unimple", "mented!("]].map(|parts| parts.concat());
    for (index, line) in text.lines().enumerate() {
        if unfinished.iter().any(|word| line.contains(word)) {
            complain(index + 1, "unfinished work");
        }
        let prints = ["println!(", "dbg!("].iter().any(|word| line.trim_start().starts_with(word));
        let library = name.contains("/src/") && !name.contains("c2f-train/src/") && !name.starts_with("xtask");
        if prints && library {
            complain(index + 1, "a library crate prints");
        }
        if line.contains("unsafe {") && !name.contains("c2f-ops/") && !name.starts_with("xtask") {
            complain(index + 1, "unsafe code outside of the kernels");
        }
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        complain(lines, &format!("more than {MOST_LINES} lines"));
    }
    found
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_tidy() {
        check(&crate::chores::root().unwrap()).unwrap();
    }

    #[test]
    fn each_rule_can_fail() {
        let unfinished = format!("// {}{}: later", "TO", "DO");
        assert_eq!(complaints("crates/c2f-data/src/a.rs", &unfinished).len(), 1);
        assert_eq!(complaints("crates/c2f-data/src/a.rs", "    println!(\"x\");").len(), 1);
        assert_eq!(complaints("crates/c2f-data/src/a.rs", "unsafe { x() }").len(), 1);
        assert_eq!(complaints("crates/c2f-data/src/a.rs", &"\n".repeat(MOST_LINES + 1)).len(), 1);
        assert!(complaints("crates/c2f-ops/src/a.rs", "unsafe { x() }").is_empty());
    }
}
