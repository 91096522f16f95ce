//! What a network says about pictures, as a graph for other programs.

use c2f_attention::{LookValues, describe_lay_over, ws_dan};
use c2f_data::{EvalTransform, Place};
use c2f_ops::graph::{Dim, Element, Graph, Value};
use c2f_ops::nn::Pass;

use serde::Serialize;

use crate::network::attention_of;
use crate::recipe::{Fit, Looks};
use crate::{Network, Result, Stage};

/// How pictures are given to a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphInputs {
    /// As bytes (B, H, W, 3), as a decoder gives them; if not, as f32 (B, 3, H, W), red, green and blue in 0..=1.
    pub bytes: bool,
    /// Where the coarse look sees smaller pictures than the fine one's source, whether they are an input of their own.
    pub coarse: bool,
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
    /// [`eval_transform`](Self::eval_transform) but not normalised. Where the coarse look sees a smaller picture, that is the input `coarse`, if
    /// `inputs` ask for it. Otherwise it is made of the source as `predict` makes it of a file of that size, bit for bit: rounded to bytes,
    /// and resized as Pillow does. Where both are the same, and unless the network has a fixed grid, pictures may have other sizes, too.
    ///
    /// Outputs are `probabilities` (B, K), `logits_coarse` and `logits_fine` (B, K), `attention` (B, M, h, w), `region` (B, 1, H, W), and
    /// `box` (B, 4), as far as the method has them: see [`Prediction`](crate::Prediction).
    ///
    /// # Errors
    /// If the backbone isn't one of c2f-backbone's, or its box is random (`inverse.region`).
    pub fn describe(&self, inputs: GraphInputs) -> Result<Graph> {
        let mut graph = Graph::default();
        let pictures = self.describe_pictures(&mut graph, inputs);
        let mut outputs = match self.recipe.method.looks() {
            Looks::Crop => self.describe_crop(&mut graph, &pictures)?,
            Looks::Region if self.stage == Stage::Fine => self.describe_both_looks(&mut graph, &pictures)?,
            _ => {
                let coarse = self.describe_look(&mut graph, pictures.coarse, &Pass::eval())?;
                let probabilities = graph.softmax(coarse.logits);
                Outputs { probabilities, coarse, logits_fine: None, region: None, boxes: None }
            }
        };
        if let Some(held_out) = &self.held_out {
            outputs.probabilities = held_out.describe(&mut graph, outputs.probabilities);
        }
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

    fn describe_crop(&self, graph: &mut Graph, pictures: &Pictures) -> Result<Outputs> {
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

    /// The inputs, and what both looks make of them.
    fn describe_pictures(&self, graph: &mut Graph, inputs: GraphInputs) -> Pictures {
        let (size, source_size) = (self.recipe.image_size, self.source_size());
        let info = self.model.backbone().info();
        let normalised = |graph: &mut Graph, units: Value| {
            let [mean, std] = [info.mean, info.std].map(|values| graph.floats(&values, &[1, 3, 1, 1]));
            let centred = graph.op("Sub", &[units, mean]);
            graph.op("Div", &[centred, std])
        };
        // A transformer's positions are those of one size, and so are the weights of a resizing.
        let is_fixed = size != source_size || info.size_multiple != 1;
        let sides = if is_fixed { [Dim::Fixed(source_size); 2] } else { [Dim::Any("height"), Dim::Any("width")] };
        let given = Given::new(graph, "pictures", sides, inputs);
        let source = normalised(graph, given.units);
        if size == source_size {
            let size = graph.shape(source, 2..4);
            return Pictures { coarse: source, source, size };
        }
        let coarse = if inputs.coarse {
            Given::new(graph, "coarse", [Dim::Fixed(size); 2], inputs).units
        } else {
            let bytes = given.whole_numbers(graph);
            let smaller = resized(graph, bytes, source_size, size);
            unit(graph, smaller)
        };
        let coarse = normalised(graph, coarse);
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

/// An input of pictures.
struct Given {
    /// (B, 3, H, W) in 0..=1.
    units: Value,
    /// (B, 3, H, W) in 0..=255, as floats, where they were given as bytes.
    bytes: Option<Value>,
}

impl Given {
    fn new(graph: &mut Graph, name: &'static str, [height, width]: [Dim; 2], inputs: GraphInputs) -> Self {
        if !inputs.bytes {
            let units = graph.input(name, Element::F32, vec![BATCH, Dim::Fixed(3), height, width]);
            return Self { units, bytes: None };
        }
        let bytes = graph.input(name, Element::U8, vec![BATCH, height, width, Dim::Fixed(3)]);
        let bytes = graph.channels_first(bytes);
        let bytes = graph.to_float(bytes);
        Self { units: unit(graph, bytes), bytes: Some(bytes) }
    }

    /// In 0..=255, rounded.
    fn whole_numbers(&self, graph: &mut Graph) -> Value {
        self.bytes.unwrap_or_else(|| {
            let scaled = graph.affine(self.units, 255.0, 0.0);
            graph.op("Round", &[scaled])
        })
    }
}

/// Bytes as numbers in 0..=1.
fn unit(graph: &mut Graph, bytes: Value) -> Value {
    let most = graph.scalar(255.0);
    graph.op("Div", &[bytes, most])
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
