//! Inception-v3 (Szegedy et al. 2016), as torchvision's `inception.py` and timm's `inception_v3.py` have it, without the
//! auxiliary classifier.
//!
//! torchvision takes pictures that are normalised by ImageNet's mean and standard deviation, and undoes that inside
//! (`transform_input`), since the weights came from TensorFlow and want 0.5 and 0.5. timm and this crate ask for 0.5 and 0.5
//! from the start, which is the same.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Maps, PoolConfig};

use super::cnn::{self, MaxPool, cnn};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use super::{Config, Network};
use crate::{Backbone, BackboneInfo, Endpoint, FeatureConfig, PaddingStyle, Result};

pub(crate) static INCEPTION_V3: Network = Network {
    info: BackboneInfo {
        name: "inception_v3",
        endpoints: &[
            Endpoint { name: "Conv2d_2b_3x3", channels: 64, stride: 2, origin: 3.5 },
            Endpoint { name: "Conv2d_4a_3x3", channels: 192, stride: 4, origin: 9.5 },
            Endpoint { name: "Mixed_5d", channels: 288, stride: 8, origin: 13.5 },
            Endpoint { name: "Mixed_6e", channels: 768, stride: 16, origin: 21.5 },
            Endpoint { name: "Mixed_7c", channels: 2048, stride: 32, origin: 37.5 },
        ],
        input_size: 299,
        mean: [0.5; 3],
        std: [0.5; 3],
        padding: PaddingStyle::Partial,
        size_multiple: 1,
    },
    config: &InceptionV3,
};

/// The only one of its family.
struct InceptionV3;

impl Config for InceptionV3 {
    fn build(
        &self,
        info: &'static BackboneInfo,
        params: &Params,
        features: &FeatureConfig,
    ) -> Result<Box<dyn Backbone>> {
        let stages = (0..5).map(|stage| {
            let conv = |name, layer| -> Result<Box<dyn cnn::Layer>> { Ok(Box::new(basic(params, name, layer)?)) };
            let pool = || -> Box<dyn cnn::Layer> { Box::new(MaxPool::new(3, 2, 0)) };
            let unpadded =
                |inputs, outputs, stride| Layer { stride, padded: false, ..Layer::new(inputs, outputs, THREE) };
            let module = |name: &str, inputs| Branches { params: params.at(name), inputs };
            Ok(match stage {
                0 => vec![
                    conv("Conv2d_1a_3x3", unpadded(3, 32, 2))?,
                    conv("Conv2d_2a_3x3", unpadded(32, 32, 1))?,
                    conv("Conv2d_2b_3x3", Layer::new(32, 64, THREE))?,
                ],
                1 => vec![
                    pool(),
                    conv("Conv2d_3b_1x1", Layer::new(64, 80, ONE))?,
                    conv("Conv2d_4a_3x3", unpadded(80, 192, 1))?,
                ],
                2 => vec![
                    pool(),
                    a(&module("Mixed_5b", 192), 32)?,
                    a(&module("Mixed_5c", 256), 64)?,
                    a(&module("Mixed_5d", 288), 64)?,
                ],
                3 => vec![
                    b(&module("Mixed_6a", 288))?,
                    c(&module("Mixed_6b", 768), 128)?,
                    c(&module("Mixed_6c", 768), 160)?,
                    c(&module("Mixed_6d", 768), 160)?,
                    c(&module("Mixed_6e", 768), 192)?,
                ],
                _ => vec![d(&module("Mixed_7a", 768))?, e(&module("Mixed_7b", 1280))?, e(&module("Mixed_7c", 2048))?],
            })
        });
        cnn(info, features, stages)
    }
}

fn basic(params: &Params, name: &str, layer: Layer) -> Result<ConvNormAct> {
    conv_norm_act(&params.at(name), ("conv", "bn"), layer, Convention::Inception)
}

const ONE: (usize, usize) = (1, 1);
const THREE: (usize, usize) = (3, 3);

/// 35 x 35 (figure 5 of the paper).
fn a(module: &Branches, pooled: usize) -> Result<Box<dyn cnn::Layer>> {
    joined([
        module.row(&[("branch1x1", 64, ONE)]),
        module.row(&[("branch5x5_1", 48, ONE), ("branch5x5_2", 64, (5, 5))]),
        module.row(&[("branch3x3dbl_1", 64, ONE), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE)]),
        module.after_means(("branch_pool", pooled, ONE)),
    ])
}

/// From 35 x 35 to 17 x 17.
fn b(module: &Branches) -> Result<Box<dyn cnn::Layer>> {
    joined([
        module.halving(&[("branch3x3", 384, THREE)]),
        module.halving(&[("branch3x3dbl_1", 64, ONE), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE)]),
        Ok(Branch::maxima()),
    ])
}

/// 17 x 17 (figure 6).
fn c(module: &Branches, width: usize) -> Result<Box<dyn cnn::Layer>> {
    joined([
        module.row(&[("branch1x1", 192, ONE)]),
        module.row(&[("branch7x7_1", width, ONE), ("branch7x7_2", width, (1, 7)), ("branch7x7_3", 192, (7, 1))]),
        module.row(&[
            ("branch7x7dbl_1", width, ONE),
            ("branch7x7dbl_2", width, (7, 1)),
            ("branch7x7dbl_3", width, (1, 7)),
            ("branch7x7dbl_4", width, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ]),
        module.after_means(("branch_pool", 192, ONE)),
    ])
}

/// From 17 x 17 to 8 x 8.
fn d(module: &Branches) -> Result<Box<dyn cnn::Layer>> {
    joined([
        module.halving(&[("branch3x3_1", 192, ONE), ("branch3x3_2", 320, THREE)]),
        module.halving(&[
            ("branch7x7x3_1", 192, ONE),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
            ("branch7x7x3_4", 192, THREE),
        ]),
        Ok(Branch::maxima()),
    ])
}

/// 8 x 8 (figure 7).
fn e(module: &Branches) -> Result<Box<dyn cnn::Layer>> {
    joined([
        module.row(&[("branch1x1", 320, ONE)]),
        module.splitting(&[("branch3x3_1", 384, ONE)], ["branch3x3_2a", "branch3x3_2b"]),
        module.splitting(
            &[("branch3x3dbl_1", 448, ONE), ("branch3x3dbl_2", 384, THREE)],
            ["branch3x3dbl_3a", "branch3x3dbl_3b"],
        ),
        module.after_means(("branch_pool", 192, ONE)),
    ])
}

/// Makes the branches of a module, all of which see its input.
struct Branches {
    params: Params,
    inputs: usize,
}

/// Name, outputs and kernel of a convolution.
type Conv<'a> = (&'a str, usize, (usize, usize));

impl Branches {
    /// Convolutions one after another.
    fn row(&self, convs: &[Conv]) -> Result<Branch> {
        self.branch(convs, false)
    }

    /// The same, the last of which halves the resolution, without padding.
    fn halving(&self, convs: &[Conv]) -> Result<Branch> {
        self.branch(convs, true)
    }

    /// A convolution of 3x3 means.
    fn after_means(&self, conv: Conv) -> Result<Branch> {
        Ok(Branch { pool: Some(Pool::Means), ..self.row(&[conv])? })
    }

    /// A row, then 1x3 and 3x1 side by side.
    fn splitting(&self, convs: &[Conv], names: [&str; 2]) -> Result<Branch> {
        let mut branch = self.row(convs)?;
        for (name, kernel) in names.into_iter().zip([(1, 3), (3, 1)]) {
            branch.ends.push(basic(&self.params, name, Layer::new(384, 384, kernel))?);
        }
        Ok(branch)
    }

    fn branch(&self, convs: &[Conv], halves: bool) -> Result<Branch> {
        let mut inputs = self.inputs;
        let mut row = Vec::new();
        for (index, &(name, outputs, kernel)) in convs.iter().enumerate() {
            let mut layer = Layer::new(inputs, outputs, kernel);
            if halves && index + 1 == convs.len() {
                layer = Layer { stride: 2, padded: false, ..layer };
            }
            row.push(basic(&self.params, name, layer)?);
            inputs = outputs;
        }
        Ok(Branch { pool: None, row, ends: Vec::new() })
    }
}

struct Branch {
    pool: Option<Pool>,
    row: Vec<ConvNormAct>,
    /// What stands side by side at the end, if there is more than one.
    ends: Vec<ConvNormAct>,
}

#[derive(Clone, Copy)]
enum Pool {
    /// 3x3, at the same resolution.
    Means,
    /// 3x3, at half the resolution.
    Maxima,
}

impl Pool {
    /// Where it looks.
    fn windows(self) -> PoolConfig {
        match self {
            Self::Means => PoolConfig { kernel: THREE, stride: (1, 1), padding: (1, 1) },
            Self::Maxima => PoolConfig { kernel: THREE, stride: (2, 2), padding: (0, 0) },
        }
    }
}

impl Branch {
    fn maxima() -> Self {
        Self { pool: Some(Pool::Maxima), row: Vec::new(), ends: Vec::new() }
    }

    fn run(&self, x: &Maps, pass: &Pass) -> Result<Vec<Maps>> {
        let pooled = match self.pool {
            None => x.clone(),
            Some(pool @ Pool::Means) => x.avg_pool(&pool.windows(), true)?,
            Some(pool @ Pool::Maxima) => x.max_pool(&pool.windows())?,
        };
        let row = self.row.iter().try_fold(pooled, |x, layer| layer.run(&x, pass))?;
        if self.ends.is_empty() {
            return Ok(vec![row]);
        }
        self.ends.iter().map(|end| Ok(end.run(&row, pass)?)).collect()
    }

    fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Vec<Value>> {
        let pooled = match self.pool {
            None => x,
            Some(pool @ Pool::Means) => pool.windows().describe_mean(graph, x),
            Some(pool @ Pool::Maxima) => pool.windows().describe_max(graph, x),
        };
        let row = self.row.iter().try_fold(pooled, |x, layer| layer.describe(graph, x, pass))?;
        if self.ends.is_empty() {
            return Ok(vec![row]);
        }
        self.ends.iter().map(|end| Ok(end.describe(graph, row, pass)?)).collect()
    }
}

/// A module: branches whose maps are joined.
struct Mixed(Vec<Branch>);

fn joined<const N: usize>(branches: [Result<Branch>; N]) -> Result<Box<dyn cnn::Layer>> {
    Ok(Box::new(Mixed(branches.into_iter().collect::<Result<_>>()?)))
}

impl cnn::Layer for Mixed {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let mut maps = Vec::new();
        for branch in &self.0 {
            maps.extend(branch.run(x, pass)?);
        }
        Ok(Maps::concat(&maps)?)
    }

    fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        let mut maps = Vec::new();
        for branch in &self.0 {
            maps.extend(branch.describe(graph, x, pass)?);
        }
        Ok(graph.concat(&maps, 1))
    }
}
