//! Checkpoints as the command line names them: those of the hub become files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use c2f_engine::Network;
use c2f_hub::{Hub, Name};
use candle_core::Device;

use super::data_spec::{hub_name, is_of_hub};
use crate::bars::FileBars;

/// The network of a checkpoint, of a run's folder (its best), or of `hub:ORG/NAME`, a repository that is such a folder.
pub fn network(checkpoint: &Path, device: &Device) -> Result<Network> {
    Ok(c2f_engine::load_network(&checkpoint_file(checkpoint)?, device)?.finished())
}

/// The repository that a path names, if it is none on this machine.
pub fn of_hub(checkpoint: &Path) -> Result<Option<Name>> {
    let text = checkpoint.to_str().filter(|text| is_of_hub(text));
    text.map(|text| hub_name("checkpoint", text, text)).transpose()
}

/// The checkpoint or the run's folder, once it is on this machine.
pub fn checkpoint_file(checkpoint: &Path) -> Result<PathBuf> {
    let Some(name) = of_hub(checkpoint)? else { return Ok(checkpoint.to_owned()) };
    let mut bars = FileBars::default();
    let file = Hub::from_env().checkpoint(&name, &mut |done, total| bars.show(&name.repo, done, total));
    drop(bars);
    file.with_context(|| format!("{} can't be had", checkpoint.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit_status;

    #[test]
    fn what_is_no_name_is_said_before_the_network() {
        for text in ["hub:", "hub:birds", "hub:a/b/c", "hub:org.x", "hub:a/b@"] {
            assert_eq!(exit_status(&checkpoint_file(Path::new(text)).unwrap_err()), 2, "{text}");
        }
        assert_eq!(checkpoint_file(Path::new("runs/hub:x")).unwrap(), Path::new("runs/hub:x"));
        assert_eq!(of_hub(Path::new("hub:org/birds@v1")).unwrap().unwrap().repo, "org/birds");
    }
}
