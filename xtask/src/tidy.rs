//! Rules that no compiler checks. Each keeps a promise of docs/architecture.md.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Code longer than this holds more than one idea.
const MOST_LINES: usize = 600;

/// The crate of the program: it alone may know a terminal and a command line.
const PROGRAM: &str = "c2f-train";

/// What each library may know of the others. The program knows them all.
const KNOWS: [(&str, &[&str]); 12] = [
    ("c2f-ops", &[]),
    ("c2f-files", &[]),
    ("c2f-dist", &[]),
    ("c2f-data", &["c2f-files"]),
    ("c2f-hub", &["c2f-files"]),
    ("c2f-onnx", &["c2f-ops"]),
    ("c2f-losses", &["c2f-ops"]),
    ("c2f-backbone", &["c2f-ops"]),
    ("c2f-attention", &["c2f-ops", "c2f-backbone"]),
    (
        "c2f-engine",
        &["c2f-ops", "c2f-onnx", "c2f-files", "c2f-dist", "c2f-data", "c2f-losses", "c2f-backbone", "c2f-attention"],
    ),
    ("c2f-report", &["c2f-files", "c2f-data", "c2f-backbone", "c2f-engine"]),
    ("c2f-serve", &["c2f-data", "c2f-engine", "c2f-report"]),
];

/// Crates that only the program may use.
const TERMINAL: [&str; 4] = ["clap", "indicatif", "console", "anyhow"];

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
    let mut members: Vec<PathBuf> = fs::read_dir(root.join("crates"))?.map(|m| Ok(m?.path())).collect::<Result<_>>()?;
    members.sort();
    for member in members {
        let name = member.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let crate_root = if name == PROGRAM { "src/main.rs" } else { "src/lib.rs" };
        let text = fs::read_to_string(member.join(crate_root))?;
        if !text.starts_with("#![doc = include_str!(\"../README.md\")]") {
            broken.push(format!("{name}: the README is not the crate's documentation"));
        }
        broken.extend(borders(&name, &fs::read_to_string(member.join("Cargo.toml"))?)?);
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

/// What a crate's manifest asks for across the borders. Its tests may use what they like.
fn borders(name: &str, manifest: &str) -> Result<Vec<String>> {
    if name == PROGRAM {
        return Ok(Vec::new());
    }
    let Some((_, known)) = KNOWS.iter().find(|(of, _)| *of == name) else {
        return Ok(vec![format!("{name}: tidy.rs doesn't say which crates it may know")]);
    };
    let manifest: toml::Table = manifest.parse()?;
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
    let asked = dependencies.into_iter().flat_map(toml::Table::keys);
    let wrong = asked.filter(|asked| {
        (asked.starts_with("c2f-") && !known.contains(&asked.as_str())) || TERMINAL.contains(&asked.as_str())
    });
    Ok(wrong.map(|asked| format!("{name}: must not know {asked}")).collect())
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
        let asks =
            |name: &str, asked: &str| borders(name, &format!("[dependencies]\n{asked}.workspace = true")).unwrap();
        assert_eq!(asks("c2f-hub", "c2f-engine"), ["c2f-hub: must not know c2f-engine"]);
        assert_eq!(asks("c2f-engine", "clap"), ["c2f-engine: must not know clap"]);
        assert!(asks("c2f-engine", "c2f-data").is_empty() && asks("c2f-train", "clap").is_empty());
        assert_eq!(asks("c2f-new", "serde").len(), 1);
    }
}
