//! `c2f-train export`.

use std::path::PathBuf;

use anyhow::Result;
use c2f_engine::Pixels;
use candle_core::Device;

use super::{checkpoint_file, path, print, usage};

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, the folder of a run (then its best), or `hub:ORG/NAME`, such a folder on the Hugging Face hub
    #[arg(value_name = "RUN", value_parser = path())]
    checkpoint: PathBuf,
    /// As what
    #[arg(long, value_enum)]
    format: Format,
    /// With onnx: pictures are bytes (B, H, W, 3) instead of f32 (B, 3, H, W) in 0..1
    #[arg(long)]
    u8: bool,
    /// The file to write
    #[arg(long, value_name = "FILE", value_parser = path())]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    /// The backbone's weights, by timm's or torchvision's names
    Safetensors,
    /// All that predict does, for onnxruntime and others
    Onnx,
}

pub fn run(args: &Args) -> Result<()> {
    if args.u8 && args.format != Format::Onnx {
        return Err(usage("--u8 goes with --format onnx"));
    }
    let network = checkpoint_file::network(&args.checkpoint, &Device::Cpu)?;
    match args.format {
        Format::Safetensors => {
            let count = c2f_engine::export_backbone(&network, &args.output)?;
            print(&format!("{}: {count} tensors of {}\n", args.output.display(), network.recipe.backbone))
        }
        Format::Onnx => {
            let pixels = if args.u8 { Pixels::Bytes } else { Pixels::Units };
            c2f_engine::export_onnx(&network, pixels, &args.output)?;
            let (size, recipe) = (network.source_size(), &network.recipe);
            print(&format!(
                "{}: {} on {}, pictures of {size} x {size}\n",
                args.output.display(),
                recipe.method,
                recipe.backbone
            ))
        }
    }
}
