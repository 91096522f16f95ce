//! Trains a backbone of c2f-backbone on CIFAR-10 as candle reads it, in candle's `Batcher`, for a moment.
//!
//! `cargo run --release -p c2f-engine --features candle-datasets --example cifar -- FOLDER` takes the first pictures of the binary files in
//! FOLDER; without one, of files that it makes up. `FOLDER` is `cifar-10-batches-bin` of <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use c2f_backbone::FeatureConfig;
use c2f_data::candle::candle_datasets::{Batcher, vision};
use c2f_data::{Dataset, Loader, LoaderConfig, TrainTransform, Transform};
use c2f_engine::optim::{Sgd, SgdConfig};
use c2f_ops::nn::Params;
use candle_core::{DType, Device, Module, ModuleT, Result, Tensor};
use candle_nn::{Optimizer, VarBuilder, VarMap};

/// The pictures that are trained on.
const PICTURES: usize = 512;

/// candle reads no file with fewer records.
const RECORDS: u64 = 10_000;

/// A label, and a plane for each channel of 32 x 32 pixels.
const RECORD: usize = 1 + 3 * 32 * 32;

/// Files of the layout of CIFAR-10: a bright stripe, whose place and colour are the class, on a ground of noise. Behind the pictures that are
/// trained on they are zeros, which take no room on the disk.
fn make_up(folder: &Path) -> std::io::Result<()> {
    let names = (1..=5).map(|number| format!("data_batch_{number}.bin")).chain(["test_batch.bin".to_owned()]);
    for name in names {
        let mut records = Vec::with_capacity(PICTURES * RECORD);
        for picture in 0..PICTURES {
            let class = picture % 10;
            records.push(class as u8);
            for (channel, row, column) in (0..3 * 32 * 32).map(|at| (at / 1024, at / 32 % 32, at % 32)) {
                let noise = (picture * 97 + channel * 31 + row * 57 + column * row * 13) % 80;
                let is_stripe = row / 6 == class % 5 && channel == class / 5;
                records.push(noise as u8 + if is_stripe { 150 } else { 40 });
            }
        }
        let mut file = File::create(folder.join(name))?;
        file.write_all(&records)?;
        file.set_len(RECORDS * RECORD as u64)?;
    }
    Ok(())
}

/// The first pictures of CIFAR-10, as a data set of ours.
fn open(folder: &Path) -> Result<Dataset> {
    let all = vision::cifar::load_dir(folder)?;
    let first = |tensor: &Tensor| tensor.narrow(0, 0, PICTURES);
    let few = vision::Dataset {
        train_images: first(&all.train_images)?,
        train_labels: first(&all.train_labels)?,
        test_images: first(&all.test_images)?,
        test_labels: first(&all.test_labels)?,
        labels: all.labels,
    };
    Ok(Dataset::from_candle("cifar10", &few)?)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let made_up = tempfile::tempdir()?;
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = given.as_deref().unwrap_or(made_up.path());
    if given.is_none() {
        make_up(folder)?;
    }
    let cifar = open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;

    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let params = Params::from_var_builder(builder.pp("backbone"), 0);
    let backbone = c2f_backbone::build("c2f_tiny", &params, &FeatureConfig::default())?;
    let head = candle_nn::linear(backbone.endpoint().channels, cifar.classes.len(), builder.pp("head"))?;
    let config = SgdConfig { lr: 0.05, weight_decay: 1e-4, ..SgdConfig::default() };
    let mut optimizer = Sgd::new(variables.all_vars(), config)?;

    let transform = TrainTransform { size: 32, source_size: 32, scale: (0.6, 1.0), ..TrainTransform::default() };
    let config = LoaderConfig { shuffle: true, ..LoaderConfig::default() };
    let loader = Loader::new(cifar.split("train")?.into(), Transform::Train(transform), config);
    let mut losses = Vec::new();
    for epoch in 0..3 {
        let (mut sum, mut batches) = (0.0, 0);
        for batch in Batcher::new_r2(loader.pairs(epoch, &Device::Cpu)).batch_size(32) {
            let (images, labels) = batch?;
            let features = backbone.forward_t(&images, true)?.mean((2, 3))?;
            let loss = candle_nn::loss::cross_entropy(&head.forward(&features)?, &labels)?;
            optimizer.backward_step(&loss)?;
            sum += loss.to_scalar::<f32>()?;
            batches += 1;
        }
        losses.push(sum / batches as f32);
        println!("epoch {}: loss {:.3}", epoch + 1, losses[losses.len() - 1]);
    }
    if losses[2] < losses[0] { Ok(()) } else { Err(format!("nothing was learnt: {losses:?}").into()) }
}
