//! Trains a network for a moment, and finds for each picture the one that is most like it by their embeddings.
//!
//! `cargo run --release -p c2f-engine --example nearest_neighbours`

use std::error::Error;
use std::sync::Arc;

use c2f_data::{Limits, decode_within};
use c2f_engine::{Embedder, Recipe, RunFolder, TestViews, TrainOptions, World, train};
use candle_core::{Device, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut recipe = Recipe::builtin("quickstart")?;
    for setting in ["data=synthetic?classes=3&size=400", "method=attention-orthogonal", "epochs=8"] {
        recipe.set(setting)?;
    }
    let output = RunFolder::create(&folder.path().join("run"))?;
    let options =
        TrainOptions { output, resume: false, device: Device::Cpu, world: World::Single, stop: Arc::default() };
    train(&recipe, &options, &mut |_| {})?;

    let embedder = Embedder::from_checkpoint(&options.output, None, TestViews::default(), &options.device)?;
    let birds = c2f_data::open(&"synthetic?classes=3&size=200&seed=1".parse()?)?;
    let samples = birds.split("test")?;
    let views = |sample| -> c2f_data::Result<_> {
        let picture = decode_within(sample, Limits::default())?;
        Ok(embedder.transforms().iter().map(|transform| transform.apply(&picture, 0, 0, 0)).collect())
    };
    let pictures = samples.iter().map(views).collect::<c2f_data::Result<Vec<_>>>()?;
    // Of length 1: their products are cosines. Nobody is their own neighbour.
    let embeddings = embedder.embed(&pictures)?;
    let itself = Tensor::eye(samples.len(), embeddings.dtype(), embeddings.device())?.affine(2.0, 0.0)?;
    let nearest: Vec<u32> = (embeddings.matmul(&embeddings.t()?)? - itself)?.argmax(1)?.to_vec1()?;

    let is_same = |(sample, near): (&c2f_data::Sample, &u32)| sample.label == samples[*near as usize].label;
    let same = samples.iter().zip(&nearest).filter(|pair| is_same(*pair)).count();
    for (sample, near) in samples.iter().zip(&nearest).take(5) {
        println!("{} is most like {}", sample.file, samples[*near as usize].file);
    }
    println!("{same} of {} have a neighbour of their own class", samples.len());
    if same * 2 > samples.len() { Ok(()) } else { Err("no better than a guess".into()) }
}
