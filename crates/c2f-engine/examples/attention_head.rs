//! Puts attention maps and bilinear attention pooling on a network that is written as those of candle-transformers are: layers of
//! candle-nn, made from a `VarBuilder`.
//!
//! `cargo run --release -p c2f-engine --example attention_head`

use std::error::Error;

use c2f_attention::{AttentionMaps, PartsConfig, bilinear_attention_pooling, normalise_parts};
use c2f_ops::nn::Params;
use candle_core::{DType, Device, Module, ModuleT, Result, Tensor};
use candle_nn::{AdamW, Conv2d, Conv2dConfig, Linear, Optimizer, ParamsAdamW, VarBuilder, VarMap};

/// Somebody's network: pictures (B, 3, H, W) to feature maps (B, 32, H / 4, W / 4).
struct Network {
    first: Conv2d,
    second: Conv2d,
}

impl Network {
    fn new(builder: &VarBuilder) -> Result<Self> {
        let config = Conv2dConfig { stride: 2, padding: 1, ..Conv2dConfig::default() };
        Ok(Self {
            first: candle_nn::conv2d(3, 16, 3, config, builder.pp("first"))?,
            second: candle_nn::conv2d(16, 32, 3, config, builder.pp("second"))?,
        })
    }
}

impl Module for Network {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.relu()?)?.relu()
    }
}

/// The network with a head that looks at parts.
struct PartsNetwork {
    network: Network,
    attention: AttentionMaps,
    classifier: Linear,
}

impl PartsNetwork {
    fn new(classes: usize, builder: &VarBuilder<'static>) -> Result<Self> {
        let parts = PartsConfig { maps: 4, scale: 20.0, orthogonal: true, gain: 1.0 };
        Ok(Self {
            network: Network::new(&builder.pp("network"))?,
            attention: AttentionMaps::new(&Params::from_var_builder(builder.pp("attention"), 0), 32, &parts)?,
            classifier: candle_nn::linear(4 * 32, classes, builder.pp("classifier"))?,
        })
    }
}

impl ModuleT for PartsNetwork {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let features = self.network.forward(x)?;
        let attention = self.attention.forward_t(&features, train)?;
        let parts = normalise_parts(&bilinear_attention_pooling(&features, &attention)?)?;
        self.classifier.forward(&parts.affine(20.0, 0.0)?)
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let model = PartsNetwork::new(2, &builder)?;
    let mut optimizer = AdamW::new(variables.all_vars(), ParamsAdamW { lr: 0.01, ..ParamsAdamW::default() })?;

    // A bright corner: upper left or lower right.
    let labels: Vec<u32> = (0..16).map(|i| i % 2).collect();
    let pixel = |picture: usize, y: usize, x: usize| {
        let (y, x) = if labels[picture] == 0 { (y, x) } else { (31 - y, 31 - x) };
        if y < 6 && x < 6 + picture / 2 { 1.0 } else { 0.1 }
    };
    let pixels: Vec<f32> = (0..16 * 3 * 32 * 32).map(|i| pixel(i / 3072, i / 32 % 32, i % 32)).collect();
    let images = Tensor::from_vec(pixels, (16, 3, 32, 32), &Device::Cpu)?;
    let labels = Tensor::from_vec(labels.clone(), 16, &Device::Cpu)?;

    for step in 0..=40 {
        let loss = candle_nn::loss::cross_entropy(&model.forward_t(&images, true)?, &labels)?;
        optimizer.backward_step(&loss)?;
        if step % 10 == 0 {
            println!("step {step}: loss {:.4}", loss.to_scalar::<f32>()?);
        }
    }
    let right = model.forward_t(&images, false)?.argmax(1)?.eq(&labels)?.sum_all()?.to_scalar::<u8>()?;
    println!("{right} of 16 right");
    if right >= 14 { Ok(()) } else { Err("the corners weren't learnt".into()) }
}
