//! `c2f-train export`.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::Device;

use super::{checkpoint_file, path, print};

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, the folder of a run (then its best), or `hub:ORG/NAME`, such a folder on the Hugging Face hub
    #[arg(value_name = "RUN", value_parser = path())]
    checkpoint: PathBuf,
    /// As what
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write
    #[arg(long, value_name = "FILE", value_parser = path())]
    output: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// The backbone's weights, by timm's or torchvision's names
    Safetensors,
}

pub fn run(args: &Args) -> Result<()> {
    let network = checkpoint_file::network(&args.checkpoint, &Device::Cpu)?;
    match args.format {
        Format::Safetensors => {
            let count = c2f_engine::export_backbone(&network, &args.output)?;
            print(&format!("{}: {count} tensors of {}\n", args.output.display(), network.recipe.backbone))
        }
    }
}
