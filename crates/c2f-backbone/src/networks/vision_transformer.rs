//! The vision transformer (Dosovitskiy et al. 2021), as timm's `vision_transformer.py` has it, its tokens being laid out as
//! feature maps.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{Conv2d, Conv2dOptions, Init, LayerNorm, Linear, Params, Pass};
use c2f_ops::{Format, gelu, resize_bicubic, scaled_dot_product_attention};
use candle_core::{Tensor, Var};

use super::Network;
use crate::features::FeaturePlan;
use crate::{Backbone, BackboneInfo, Endpoint, Error, FeatureConfig, PaddingStyle, Result};

pub(crate) static VIT_SMALL_PATCH16_224: Network = SMALL.network("vit_small_patch16_224", &SMALL.endpoints());
pub(crate) static VIT_BASE_PATCH16_224: Network = BASE.network("vit_base_patch16_224", &BASE.endpoints());

const SMALL: Config = Config { width: 384, heads: 6 };
const BASE: Config = Config { width: 768, heads: 12 };

/// Side of a patch in pixels.
const PATCH: usize = 16;
/// Patches along each side of the picture that it was made for.
const GRID: usize = 14;
const BLOCKS_PER_STAGE: usize = 4;
const EPS: f64 = 1e-6;
/// timm cuts it off at 100 standard deviations.
const WEIGHTS: Init = Init::Normal { mean: 0.0, std: 0.02 };

/// A transformer of twelve blocks on patches of 16 pixels; ViT-L has more and ViT-B/32 larger ones.
#[derive(Clone, Copy)]
struct Config {
    /// Channels of a token.
    width: usize,
    /// Heads of the attention, which divide the width.
    heads: usize,
}

impl Config {
    const fn network(&'static self, name: &'static str, endpoints: &'static [Endpoint]) -> Network {
        let info = BackboneInfo {
            name,
            endpoints,
            input_size: GRID * PATCH,
            mean: [0.5; 3],
            std: [0.5; 3],
            padding: PaddingStyle::Partial,
            size_multiple: PATCH,
        };
        Network { info, config: self }
    }

    /// Each but the last is a third of the way; the last has the final normalisation as well.
    const fn endpoints(&self) -> [Endpoint; 3] {
        [
            Endpoint::patches("blocks.3", self.width, PATCH),
            Endpoint::patches("blocks.7", self.width, PATCH),
            Endpoint::patches("norm", self.width, PATCH),
        ]
    }
}

impl super::Config for Config {
    fn build(
        &self,
        info: &'static BackboneInfo,
        params: &Params,
        features: &FeatureConfig,
    ) -> Result<Box<dyn Backbone>> {
        let (plan, width) = (features.plan(info)?, self.width);
        let options = Conv2dOptions { stride: PATCH, bias: true, ..Conv2dOptions::default() };
        let blocks = (0..plan.stages * BLOCKS_PER_STAGE)
            .map(|block| Block::new(&params.at(format_args!("blocks.{block}")), *self));
        let is_whole = plan.stages == info.endpoints.len();
        Ok(Box::new(VisionTransformer {
            info,
            plan,
            width,
            patches: Conv2d::new(&params.at("patch_embed.proj"), 3, width, (PATCH, PATCH), options)?,
            class: params.parameter("cls_token", (1, 1, width), Init::Normal { mean: 0.0, std: 1e-6 })?,
            positions: params.parameter("pos_embed", (1, 1 + GRID * GRID, width), WEIGHTS)?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: is_whole.then(|| LayerNorm::new(&params.at("norm"), width, EPS)).transpose()?,
        }))
    }
}

struct VisionTransformer {
    info: &'static BackboneInfo,
    plan: FeaturePlan,
    width: usize,
    patches: Conv2d,
    class: Var,
    /// Of the class token and of a 14 x 14 grid.
    positions: Var,
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
}

impl Backbone for VisionTransformer {
    fn info(&self) -> &BackboneInfo {
        self.info
    }

    fn endpoint(&self) -> &Endpoint {
        self.plan.endpoint(self.info)
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (batch, _, height, width) = x.dims4()?;
        let grid = self.grid((height, width))?;
        let mut x = self.embed(x, grid, &self.plan.pass(0, pass))?;
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.run(&x, &self.plan.pass(index / BLOCKS_PER_STAGE, pass))?;
        }
        if let Some(norm) = &self.norm {
            x = norm.run(&x, &self.plan.pass(self.plan.stages - 1, pass))?;
        }
        let maps = x.narrow(1, 1, grid.0 * grid.1)?.reshape((batch, grid.0, grid.1, self.width))?;
        Ok(Format::ChannelsLast.to_nchw(&maps)?)
    }

    fn describe(&self, graph: &mut Graph, x: Value, size: (usize, usize), pass: &Pass) -> Result<Value> {
        let grid = self.grid(size)?;
        let mut x = self.describe_embedding(graph, x, grid, pass)?;
        for block in &self.blocks {
            x = block.describe(graph, x)?;
        }
        if let Some(norm) = &self.norm {
            x = norm.describe(graph, x)?;
        }
        let bounds = [graph.ints(&[1]), graph.ints(&[i64::MAX]), graph.ints(&[1])];
        let patches = graph.op("Slice", &[x, bounds[0], bounds[1], bounds[2]]);
        let maps = graph.transpose(patches, &[0, 2, 1]);
        Ok(graph.reshape(maps, &[0, self.width as i64, grid.0 as i64, grid.1 as i64]))
    }
}

impl VisionTransformer {
    /// Patches along both sides of pictures of `size` (height, width).
    fn grid(&self, size: (usize, usize)) -> Result<(usize, usize)> {
        let (height, width) = size;
        if height == 0 || width == 0 || height % PATCH != 0 || width % PATCH != 0 {
            return Err(Error::Patches { backbone: self.info.name, patch: PATCH, size });
        }
        Ok((height / PATCH, width / PATCH))
    }

    /// Images to tokens (B, 1 + patches, C), the class token first.
    fn embed(&self, x: &Tensor, grid: (usize, usize), pass: &Pass) -> Result<Tensor> {
        let format = Format::ChannelsLast;
        let patches = self.patches.run_as(&format.from_nchw(x)?, format, pass)?;
        let batch = x.dim(0)?;
        let patches = patches.reshape((batch, (), self.width))?;
        let class = pass.weight(&self.class).broadcast_as((batch, 1, self.width))?.contiguous()?;
        Ok(Tensor::cat(&[class, patches], 1)?.broadcast_add(&self.positions(grid, pass)?)?)
    }

    /// Describes [`embed`](Self::embed).
    fn describe_embedding(&self, graph: &mut Graph, x: Value, grid: (usize, usize), pass: &Pass) -> Result<Value> {
        let patches = self.patches.describe(graph, x)?;
        let patches = graph.reshape(patches, &[0, self.width as i64, -1]);
        let patches = graph.transpose(patches, &[0, 2, 1]);
        let (batch, one) = (graph.shape(x, 0..1), graph.ints(&[1, self.width as i64]));
        let (class, shape) = (graph.tensor(&self.class)?, graph.concat(&[batch, one], 0));
        let class = graph.op("Expand", &[class, shape]);
        let tokens = graph.concat(&[class, patches], 1);
        let positions = graph.tensor(&self.positions(grid, pass)?)?;
        Ok(graph.op("Add", &[tokens, positions]))
    }

    /// The positions' embedding (1, 1 + patches, C), that of the patches resized to their grid as timm's
    /// `resample_abs_pos_embed` does.
    fn positions(&self, grid: (usize, usize), pass: &Pass) -> Result<Tensor> {
        let positions = pass.weight(&self.positions);
        if grid == (GRID, GRID) {
            return Ok(positions);
        }
        let class = positions.narrow(1, 0, 1)?;
        let maps = positions.narrow(1, 1, GRID * GRID)?.reshape((1, GRID, GRID, self.width))?;
        let resized = resize_bicubic(&maps, grid, Format::ChannelsLast)?.reshape((1, (), self.width))?;
        Ok(Tensor::cat(&[class, resized], 1)?)
    }
}

/// x + attention(norm(x)), then x + mlp(norm(x)).
struct Block {
    /// Channels of a token.
    width: usize,
    heads: usize,
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    norm2: LayerNorm,
    expand: Linear,
    project: Linear,
}

impl Block {
    fn new(params: &Params, Config { width, heads }: Config) -> Result<Self> {
        let linear = |name: &str, inputs, outputs| Linear::new(&params.at(name), inputs, outputs, true, WEIGHTS);
        Ok(Self {
            width,
            heads,
            norm1: LayerNorm::new(&params.at("norm1"), width, EPS)?,
            qkv: linear("attn.qkv", width, 3 * width)?,
            proj: linear("attn.proj", width, width)?,
            norm2: LayerNorm::new(&params.at("norm2"), width, EPS)?,
            expand: linear("mlp.fc1", width, 4 * width)?,
            project: linear("mlp.fc2", 4 * width, width)?,
        })
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let x = (x + self.attend(&self.norm1.run(x, pass)?, pass)?)?;
        let inner = gelu(&self.expand.run(&self.norm2.run(&x, pass)?, pass)?)?;
        Ok((&x + self.project.run(&inner, pass)?)?)
    }

    fn describe(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let inner = self.norm1.describe(graph, x)?;
        let inner = self.describe_attention(graph, inner)?;
        let x = graph.op("Add", &[x, inner]);
        let inner = self.norm2.describe(graph, x)?;
        let inner = self.expand.describe(graph, inner)?;
        let inner = graph.gelu(inner);
        let inner = self.project.describe(graph, inner)?;
        Ok(graph.op("Add", &[x, inner]))
    }

    fn attend(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let qkv = self.qkv.run(x, pass)?.reshape((batch, tokens, 3, self.heads, width / self.heads))?;
        // (3, B, heads, N, d)
        let qkv = qkv.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let seen = scaled_dot_product_attention(&qkv.get(0)?, &qkv.get(1)?, &qkv.get(2)?)?;
        Ok(self.proj.run(&seen.transpose(1, 2)?.reshape((batch, tokens, width))?, pass)?)
    }

    /// Describes [`attend`](Self::attend).
    fn describe_attention(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let (heads, head) = (self.heads as i64, (self.width / self.heads) as i64);
        let qkv = self.qkv.describe(graph, x)?;
        let qkv = graph.reshape(qkv, &[0, 0, 3, heads, head]);
        // (3, B, heads, N, d)
        let qkv = graph.transpose(qkv, &[2, 0, 3, 1, 4]);
        let [q, k, v] = [0, 1, 2].map(|index| graph.get(qkv, 0, index));
        let seen = graph.scaled_dot_product_attention(q, k, v, head as usize);
        let seen = graph.transpose(seen, &[0, 2, 1, 3]);
        let seen = graph.reshape(seen, &[0, 0, -1]);
        Ok(self.proj.describe(graph, seen)?)
    }
}
