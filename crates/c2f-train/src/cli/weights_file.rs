//! Pretrained weights as the command line and recipes name them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use c2f_engine::checkpoint::{best_path, last_path};
use c2f_hub::{Hub, Name};

use super::usage;
use crate::bars::FileBars;

/// What is meant as a file is never looked for on the hub.
const ENDINGS: [&str; 4] = ["safetensors", "pth", "pt", "bin"];

/// The file of pretrained weights: that of this name, the best checkpoint (or else the last) of the run in the folder of this
/// name, or else the file that the hub has under it.
pub fn weights_file(text: &str) -> Result<PathBuf> {
    let path = &c2f_files::expand_home(Path::new(text));
    if path.is_dir() {
        let checkpoint = [best_path(path), last_path(path)].into_iter().find(|file| file.is_file());
        return checkpoint.ok_or_else(|| usage(format!("weights {text}: a folder without a run's checkpoints")));
    }
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if path.exists() {
        return Err(usage(format!("weights {text}: it is no regular file")));
    }
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
        return Err(usage(format!("weights {}: there is no such file", path.display())));
    }
    let Some(name) = Name::parse(text) else {
        let hub = "ORG/REPO or a name of timm's such as resnet50.a1_in1k";
        return Err(usage(format!("weights {text}: there is no such file, and the hub has no such names ({hub})")));
    };
    let mut bars = FileBars::default();
    let file = Hub::from_env().weights(&name, &mut |done, total| bars.show(&name.repo, done, total));
    drop(bars);
    file.with_context(|| format!("{text} is no file, and can't be had from the hub"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit_status;

    #[test]
    fn what_is_no_name_is_a_missing_file() {
        for text in ["no/such/file.safetensors", "gone.pth", "a/b.BIN", "resnet50", "/no/such", "a/b/c", ""] {
            let error = weights_file(text).unwrap_err();
            assert_eq!(exit_status(&error), 2, "{text}");
            assert!(error.to_string().contains("there is no such file"), "{error}");
        }
    }
}
