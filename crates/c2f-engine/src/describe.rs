//! What a network says about pictures, as a graph for other programs.

use c2f_attention::{LookValues, RegionValues, describe_lay_over, ws_dan};
use c2f_data::{EvalTransform, Place};
use c2f_ops::graph::{Dim, Element, Graph, Value};
use c2f_ops::nn::Pass;

use serde::Serialize;

use crate::network::attention_of;
use crate::recipe::{Fit, Method};
use crate::{Network, Result, Stage};

/// How pictures are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// f32 (B, 3, H, W), red, green and blue in 0..=1.
    Units,
    /// Bytes (B, H, W, 3), as a decoder gives them.
    Bytes,
}

/// How a picture becomes what [`Network::describe`]'s graph takes, and the page in a browser.
#[derive(Clone, Debug, Serialize)]
pub struct Crop {
    /// How one that isn't square becomes a square.
    pub fit: Fit,
    /// What its shorter side counts as, in pixels (both sides, where it is squashed).
    pub resize: usize,
    /// Of these so many in the middle, along both sides, are seen.
    pub crop: usize,
    /// How many pixels what is seen is resized to, in one step, along both sides.
    pub size: usize,
}

const BATCH: Dim = Dim::Any("batch");

/// The pictures of both looks in a graph.
struct Pictures {
    /// (B, 3, H, W), normalised: what the coarse look sees.
    coarse: Value,
    /// (B, 3, H', W'), normalised: what the fine look samples from.
    source: Value,
    /// Height and width of `coarse`: two whole numbers.
    size: Value,
}

/// What becomes outputs.
struct Outputs {
    probabilities: Value,
    coarse: LookValues,
    logits_fine: Option<Value>,
    region: Option<Value>,
    boxes: Option<Value>,
}

impl Network {
    /// Describes [`predict`](Self::predict).
    ///
    /// The input `pictures` are the fine look's source, of [`source_size`](Self::source_size), as they are cut out and resized by
    /// [`eval_transform`](Self::eval_transform) but not normalised. Where the coarse look sees a smaller picture, it is made of the source
    /// as `predict` makes it of a file of that size, bit for bit: rounded to bytes, and resized as Pillow does. Otherwise, and unless
    /// the network has a fixed grid, pictures may have other sizes, too.
    ///
    /// Outputs are `probabilities` (B, K), `logits_coarse` and `logits_fine` (B, K), `attention` (B, M, h, w), `region` (B, 1, H, W), and
    /// `box` (B, 4), as far as the method has them: see [`Prediction`](crate::Prediction).
    ///
    /// # Errors
    /// If the backbone isn't one of c2f-backbone's, or its box is random (`inverse.region`).
    pub fn describe(&self, pixels: Pixels) -> Result<Graph> {
        let mut graph = Graph::default();
        let pictures = self.describe_pictures(&mut graph, pixels);
        let outputs = match self.recipe.method {
            Method::WsDan => self.describe_ws_dan(&mut graph, &pictures)?,
            Method::Coarse2fine | Method::Coarse2fineOrthogonal if self.stage == Stage::Fine => {
                self.describe_both_looks(&mut graph, &pictures)?
            }
            _ => {
                let coarse = self.describe_look(&mut graph, pictures.coarse, &Pass::eval())?;
                let probabilities = graph.softmax(coarse.logits);
                Outputs { probabilities, coarse, logits_fine: None, region: None, boxes: None }
            }
        };
        self.name(&mut graph, &outputs);
        Ok(graph)
    }

    /// How a picture is cut and resized for the graph.
    pub fn crop(&self) -> Crop {
        let EvalTransform { resize, size, source_size, .. } = self.eval_transform_at(Place::Center, false);
        Crop { fit: self.recipe.augment.fit, resize: resize.max(size), crop: size, size: source_size }
    }

    fn describe_both_looks(&self, graph: &mut Graph, pictures: &Pictures) -> Result<Outputs> {
        let pass = Pass::eval();
        let &Pictures { coarse: x, source, size } = pictures;
        let coarse = self.describe_look(graph, x, &pass)?;
        let region = self.model.describe_region(graph, x, size, &coarse, &pass)?;
        let input = self.model.describe_fine_input(graph, x, source, &region, size)?;
        let fine = self.describe_look(graph, input, &self.fine_pass(pass))?;
        let shares = [coarse.logits, fine.logits].map(|logits| graph.softmax(logits));
        let sum = graph.op("Add", &shares);
        let (map, boxes) = (region.map, region.boxes());
        Ok(Outputs {
            probabilities: graph.affine(sum, 0.5, 0.0),
            coarse,
            logits_fine: Some(fine.logits),
            region: Some(map),
            boxes,
        })
    }

    fn describe_ws_dan(&self, graph: &mut Graph, pictures: &Pictures) -> Result<Outputs> {
        let (settings, pass) = (&self.recipe.ws_dan, Pass::eval());
        let &Pictures { coarse: x, source, size } = pictures;
        let coarse = self.describe_look(graph, x, &pass)?;
        let mut map = graph.mean(attention_of(coarse.attention)?, &[1]);
        if self.recipe.inverse.registered {
            map = describe_lay_over(graph, map, self.model.backbone().endpoint(), size);
        }
        let (threshold, padding) = (settings.test_threshold, settings.test_padding);
        let boxes = ws_dan::describe_crop_boxes(graph, map, size, threshold, padding);
        let crop = ws_dan::describe_crop(graph, source, boxes, size);
        let fine = self.describe_look(graph, crop, &pass)?;
        let sum = graph.op("Add", &[coarse.logits, fine.logits]);
        let mean = graph.affine(sum, 0.5, 0.0);
        Ok(Outputs {
            probabilities: graph.softmax(mean),
            coarse,
            logits_fine: Some(fine.logits),
            region: None,
            boxes: Some(boxes),
        })
    }

    fn describe_look(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<LookValues> {
        let size = self.recipe.image_size;
        Ok(self.model.describe_look(graph, x, (size, size), pass)?)
    }

    /// The input, and what both looks make of it.
    fn describe_pictures(&self, graph: &mut Graph, pixels: Pixels) -> Pictures {
        let (size, source_size) = (self.recipe.image_size, self.source_size());
        let info = self.model.backbone().info();
        // A transformer's positions are those of one size, and so are the weights of a resizing.
        let is_fixed = size != source_size || info.size_multiple != 1;
        let [height, width] =
            if is_fixed { [Dim::Fixed(source_size); 2] } else { [Dim::Any("height"), Dim::Any("width")] };
        // In 0..=1 and, where they have to be whole numbers, in 0..=255.
        let (units, bytes) = match pixels {
            Pixels::Units => {
                let units = graph.input("pictures", Element::F32, vec![BATCH, Dim::Fixed(3), height, width]);
                (units, None)
            }
            Pixels::Bytes => {
                let bytes = graph.input("pictures", Element::U8, vec![BATCH, height, width, Dim::Fixed(3)]);
                let bytes = graph.channels_first(bytes);
                let bytes = graph.to_float(bytes);
                (unit(graph, bytes), Some(bytes))
            }
        };
        let source = normalised(graph, units, info.mean, info.std);
        if size == source_size {
            let size = graph.shape(source, 2..4);
            return Pictures { coarse: source, source, size };
        }
        let bytes = bytes.unwrap_or_else(|| {
            let bytes = graph.affine(units, 255.0, 0.0);
            graph.op("Round", &[bytes])
        });
        let smaller = resized(graph, bytes, source_size, size);
        let smaller = unit(graph, smaller);
        let coarse = normalised(graph, smaller, info.mean, info.std);
        Pictures { coarse, source, size: graph.ints(&[size as i64, size as i64]) }
    }

    fn name(&self, graph: &mut Graph, outputs: &Outputs) {
        let classes = vec![BATCH, Dim::Fixed(self.classes.len())];
        graph.output("probabilities", outputs.probabilities, classes.clone());
        graph.output("logits_coarse", outputs.coarse.logits, classes.clone());
        if let Some(logits) = outputs.logits_fine {
            graph.output("logits_fine", logits, classes);
        }
        if let Some(attention) = outputs.coarse.attention {
            let (maps, height, width) = (self.recipe.attention.maps, "attention_height", "attention_width");
            graph.output("attention", attention, vec![BATCH, Dim::Fixed(maps), Dim::Any(height), Dim::Any(width)]);
        }
        if let Some(region) = outputs.region {
            let (height, width) = ("region_height", "region_width");
            graph.output("region", region, vec![BATCH, Dim::Fixed(1), Dim::Any(height), Dim::Any(width)]);
        }
        if let Some(boxes) = outputs.boxes {
            graph.output("box", boxes, vec![BATCH, Dim::Fixed(4)]);
        }
    }
}

/// Bytes as numbers in 0..=1.
fn unit(graph: &mut Graph, bytes: Value) -> Value {
    let most = graph.scalar(255.0);
    graph.op("Div", &[bytes, most])
}

fn normalised(graph: &mut Graph, x: Value, mean: [f32; 3], std: [f32; 3]) -> Value {
    let [mean, std] = [mean, std].map(|values| graph.floats(&values, &[1, 3, 1, 1]));
    let centred = graph.op("Sub", &[x, mean]);
    graph.op("Div", &[centred, std])
}

/// Squares of bytes (B, 3, `from`, `from`), as floats, resized as [`c2f_data::transform::resize`] does.
fn resized(graph: &mut Graph, x: Value, from: usize, to: usize) -> Value {
    let weights = graph.floats(&c2f_data::transform::resize_weights(from, to), &[to, from]);
    let round = |graph: &mut Graph, x| {
        let sum = graph.affine(x, 1.0, 0.5);
        graph.op("Floor", &[sum])
    };
    let rows = graph.op("MatMul", &[weights, x]);
    let rows = round(graph, rows);
    let transposed = graph.transpose(weights, &[1, 0]);
    let columns = graph.op("MatMul", &[rows, transposed]);
    round(graph, columns)
}
