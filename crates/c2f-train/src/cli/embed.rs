//! `c2f-train embed`.

use std::path::PathBuf;

use anyhow::Result;
use c2f_backbone::FeatureConfig;
use c2f_engine::{Embedder, Embeddings, Features, ahead};

use super::inputs::{Input, Inputs, Unreadable, batch_size};
use super::signals::Signals;
use super::weights_file::weights_file;
use super::{checkpoint_file, device, path, print, usage};
use crate::bars;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("network").required(true).args(["checkpoint", "backbone"]))]
pub struct Args {
    /// A checkpoint, the folder of a run (then its best), or `hub:ORG/NAME`, such a folder on the Hugging Face hub
    #[arg(long, value_name = "PATH", value_parser = path())]
    checkpoint: Option<PathBuf>,
    /// Instead of a checkpoint, a backbone with pretrained weights: the means of its feature maps
    #[arg(long, value_name = "NAME", requires = "weights")]
    backbone: Option<String>,
    /// The backbone's weights: a .safetensors or .pth file, or the name of some on the Hugging Face hub
    #[arg(long, value_name = "FILE|NAME", requires = "backbone")]
    weights: Option<String>,
    /// The backbone's endpoint [default: its last]
    #[arg(long, value_name = "NAME", requires = "backbone")]
    endpoint: Option<String>,
    /// Side in pixels of what the backbone sees [default: what it was made for]
    #[arg(long, value_name = "N", requires = "backbone", value_parser = clap::value_parser!(u32).range(32..=2048))]
    image_size: Option<u32>,
    /// What of a checkpoint's network [default: parts, where its method has them]
    #[arg(long, value_enum, requires = "checkpoint")]
    features: Option<Which>,
    /// Where `embeddings` (N, D) go; its metadata list the `images`
    #[arg(long, value_name = "FILE.safetensors", value_parser = path())]
    output: PathBuf,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    inputs: Inputs,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Which {
    /// The features of the parts that the attention maps see, of length 1
    Parts,
    /// The means of the feature maps
    Pooled,
}

/// Gives the exit status: that of a signal, if one came; then nothing is written.
pub fn run(args: &Args) -> Result<u8> {
    let embedder = embedder(args)?;
    let inputs = args.inputs.list()?;
    let signals = Signals::listen()?;
    let mut embeddings = Embeddings::create(&args.output)?;
    let names: Vec<_> = inputs.iter().map(Input::name).collect();
    embeddings.check(names.iter().map(AsRef::as_ref))?;
    let mut unreadable = Unreadable::default();
    let bar = bars::bar("embed", inputs.len());
    let batch = batch_size(embedder.transforms().len());
    ahead(
        &inputs,
        batch,
        |input| input.views(embedder.transforms(), embedder.limits()),
        |batch, views| {
            let (mut pictures, mut seen) = (Vec::new(), Vec::new());
            for (input, views) in batch.iter().zip(views) {
                match views {
                    Ok(views) => {
                        pictures.push((input.name().into_owned(), input.label.as_deref().map(str::to_owned)));
                        seen.push(views);
                    }
                    Err(error) => unreadable.add(&error.to_string()),
                }
            }
            if !seen.is_empty() {
                embeddings.push(pictures, &embedder.embed(&seen)?)?;
            }
            bar.inc(batch.len() as u64);
            Ok::<_, anyhow::Error>(!signals.came())
        },
    )?;
    bar.finish_and_clear();
    if signals.came() {
        return Ok(signals.exit_status());
    }
    let (count, width) = embeddings.dims();
    if count > 0 {
        embeddings.finish()?;
        print(&format!("{}: {count} embeddings of {width} values", args.output.display()))?;
    }
    unreadable.fail(inputs.len()).map(|()| 0)
}

fn embedder(args: &Args) -> Result<Embedder> {
    let device = device(&args.device)?;
    if let Some(checkpoint) = &args.checkpoint {
        let features = args.features.map(|which| match which {
            Which::Parts => Features::Parts,
            Which::Pooled => Features::Pooled,
        });
        return Ok(Embedder::from_checkpoint(
            &checkpoint_file::checkpoint_file(checkpoint)?,
            features,
            args.inputs.views(),
            &device,
        )?);
    }
    let (Some(backbone), Some(weights)) = (&args.backbone, &args.weights) else {
        return Err(usage("embed needs --checkpoint, or --backbone and --weights"));
    };
    let features = FeatureConfig { endpoint: args.endpoint.clone(), freeze: None };
    let size = args.image_size.map(|size| size as usize);
    Ok(Embedder::from_backbone(backbone, &weights_file(weights)?, &features, size, args.inputs.views(), &device)?)
}
