//! `c2f-train export`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use c2f_engine::GraphInputs;
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
    /// With onnx: the coarse look's pictures are an input, too, and not made of the larger ones that the fine look samples from
    #[arg(long)]
    coarse: bool,
    /// The file to write, or with web the folder
    #[arg(long, value_name = "FILE", value_parser = path())]
    output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    /// The backbone's weights, by timm's or torchvision's names
    Safetensors,
    /// All that predict does, for onnxruntime and others
    Onnx,
    /// A page that runs the ONNX file in a browser, with it in a folder
    Web,
}

pub fn run(args: &Args) -> Result<()> {
    if (args.u8 || args.coarse) && args.format != Format::Onnx {
        return Err(usage("--u8 and --coarse go with --format onnx"));
    }
    let network = checkpoint_file::network(&args.checkpoint, &Device::Cpu)?;
    match args.format {
        Format::Safetensors => {
            let count = c2f_engine::export_backbone(&network, &args.output)?;
            print(&format!("{}: {count} tensors of {}\n", args.output.display(), network.recipe.backbone))
        }
        Format::Onnx => {
            let inputs = GraphInputs { bytes: args.u8, coarse: args.coarse };
            c2f_engine::export_onnx(&network, inputs, &args.output)?;
            let (size, recipe) = (network.source_size(), &network.recipe);
            print(&format!(
                "{}: {} on {}, pictures of {size} x {size}\n",
                args.output.display(),
                recipe.method,
                recipe.backbone
            ))
        }
        Format::Web => {
            let (folder, page) = (&args.output, args.output.join("index.html"));
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            c2f_engine::export_onnx(&network, c2f_report::WEB_INPUTS, &folder.join("model.onnx"))?;
            c2f_report::write_web_page(&network, &page)?;
            print(&format!("{}: a page for any web server, with model.onnx beside it\n", page.display()))
        }
    }
}
