//! Trains a backbone of c2f-backbone and a head of candle-nn in candle's own idiom, on a loop that is one's own.
//!
//! `cargo run --release -p c2f-engine --example fine_tune`

use std::error::Error;

use c2f_backbone::FeatureConfig;
use c2f_data::{Loader, LoaderConfig, TrainTransform, Transform};
use c2f_engine::optim::{Sgd, SgdConfig};
use c2f_ops::nn::Params;
use candle_core::{DType, Device, Module, ModuleT, Tensor};
use candle_nn::{Optimizer, VarBuilder, VarMap};

fn main() -> Result<(), Box<dyn Error>> {
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    // `variables.load(FILE)` would take pretrained weights: their names are torchvision's and timm's.
    let params = Params::from_var_builder(builder.pp("backbone"), 0);
    let backbone = c2f_backbone::build("c2f_tiny", &params, &FeatureConfig::default())?;
    let head = candle_nn::linear(backbone.endpoint().channels, 3, builder.pp("head"))?;
    let config = SgdConfig { lr: 0.05, weight_decay: 1e-4, ..SgdConfig::default() };
    let mut optimizer = Sgd::new(variables.all_vars(), config)?;

    let birds = c2f_data::open(&"synthetic?classes=3&size=120".parse()?)?;
    let transform = TrainTransform { size: 48, source_size: 48, ..TrainTransform::default() };
    let config = LoaderConfig { batch_size: 12, shuffle: true, ..LoaderConfig::default() };
    let loader = Loader::new(birds.split("train")?.into(), Transform::Train(transform), config);
    let mut losses = Vec::new();
    for epoch in 0..4 {
        let mut sum = 0.0;
        for batch in loader.epoch(epoch, 0) {
            let batch = batch?;
            let shape = (batch.labels.len(), 3, batch.size, batch.size);
            let images = Tensor::from_vec(batch.images, shape, &Device::Cpu)?;
            let labels = Tensor::from_vec(batch.labels, shape.0, &Device::Cpu)?;
            let features = backbone.forward_t(&images, true)?.mean((2, 3))?;
            let loss = candle_nn::loss::cross_entropy(&head.forward(&features)?, &labels)?;
            optimizer.backward_step(&loss)?;
            sum += loss.to_scalar::<f32>()?;
        }
        losses.push(sum / loader.batches() as f32);
        println!("epoch {}: loss {:.3}", epoch + 1, losses[losses.len() - 1]);
    }
    if losses[3] < losses[0] { Ok(()) } else { Err(format!("nothing was learnt: {losses:?}").into()) }
}
