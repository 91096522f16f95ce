//! What makes the method Coarse2Fine: the fine look's loss reaches attention and backbone through the region map.

mod common;

use c2f_attention::{Images, Model, ModelConfig, RegionMode};
use c2f_losses::cross_entropy;
use c2f_ops::nn::{Entry, Kind, Params, Pass, Weights};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use common::{SmoothBackbone, config, params, random, values};

const SEED: u64 = 3;
const SIZE: (usize, usize) = (24, 32);

/// A network with equal weights each time.
fn network(config: &ModelConfig) -> (Model, Params) {
    let params = params(SEED);
    let model = Model::new(SmoothBackbone::boxed(&params.at("backbone")), &params, config).unwrap();
    (model, params)
}

struct Pictures {
    coarse: Tensor,
    source: Tensor,
    labels: Tensor,
}

impl Pictures {
    fn new() -> Self {
        Self {
            coarse: random((3, 3, SIZE.0, SIZE.1), 1),
            source: random((3, 3, 36, 48), 2),
            labels: Tensor::new(&[0u32, 2, 1], &common::device()).unwrap(),
        }
    }

    fn images(&self) -> Images<'_> {
        Images { coarse: &self.coarse, source: &self.source }
    }
}

/// Gradients of the fine loss alone, the fine look's own weights being constants.
fn gradients_through_region(model: &Model, pictures: &Pictures) -> GradStore {
    let fine_pass = Pass::train().with_weights(Weights::Detached);
    let output = model.run(&pictures.images(), &Pass::train(), Some(&fine_pass)).unwrap();
    cross_entropy(&output.fine.unwrap().logits, &pictures.labels, 0.0).unwrap().backward().unwrap()
}

/// The fine loss where `coarse` finds the region and `fine` looks at it: with two networks of equal weights it is the
/// fine loss of one, and moving the weights of `coarse` moves it through the region only.
fn fine_loss(coarse: &Model, fine: &Model, pictures: &Pictures) -> f64 {
    let pass = Pass::train().with_weights(Weights::Detached);
    let look = coarse.look(&pictures.coarse, &pass).unwrap();
    let region = coarse.region(&look, SIZE, &pass).unwrap();
    let input = coarse.fine_input(&pictures.images(), &region).unwrap();
    let logits = fine.look(&input, &pass).unwrap().logits;
    cross_entropy(&logits, &pictures.labels, 0.0).unwrap().to_scalar().unwrap()
}

fn central_difference(entry: &Entry, element: usize, loss: impl Fn() -> f64) -> f64 {
    const STEP: f64 = 1e-6;
    let start = values(&entry.var);
    let at = |step: f64| {
        let mut moved = start.clone();
        moved[element] += step;
        entry.var.set(&Tensor::from_vec(moved, entry.var.shape(), &common::device()).unwrap()).unwrap();
        loss()
    };
    let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    at(0.0);
    difference
}

fn fine_loss_reaches_attention_and_backbone(mode: RegionMode) {
    let (pictures, config) = (Pictures::new(), config(mode, 3));
    let (coarse, store) = network(&config);
    let (fine, _) = network(&config);
    let gradients = gradients_through_region(&coarse, &pictures);
    for prefix in ["attention", "backbone", "inverse"] {
        for entry in store.at(prefix).entries().iter().filter(|entry| entry.kind == Kind::Parameter) {
            let gradient = values(gradients.get(&entry.var).expect("a gradient"));
            let length = gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
            assert!(length > 1e-5, "{}: the gradient's length is {length}", entry.name);
            for (element, &gradient) in gradient.iter().enumerate() {
                let difference = central_difference(entry, element, || fine_loss(&coarse, &fine, &pictures));
                assert!(
                    (gradient - difference).abs() <= 1e-6 * length.max(1e-2),
                    "{}, element {element}: gradient {gradient}, differences {difference}",
                    entry.name
                );
            }
        }
    }
    let classifier = store.get("classifier.weight").unwrap();
    assert!(gradients.get(&classifier.var).is_none(), "the fine look's own weights were to be constants");
}

#[test]
fn fine_loss_reaches_attention_and_backbone_through_the_mask() {
    fine_loss_reaches_attention_and_backbone(RegionMode::Mask);
}

#[test]
fn fine_loss_reaches_attention_and_backbone_through_the_zoom() {
    fine_loss_reaches_attention_and_backbone(RegionMode::Zoom);
}

#[test]
fn fine_loss_reaches_attention_and_backbone_through_the_mask_zoom() {
    fine_loss_reaches_attention_and_backbone(RegionMode::MaskZoom);
}

#[test]
fn a_cut_path_carries_nothing() {
    let mut config = config(RegionMode::MaskZoom, 3);
    config.inverse.as_mut().unwrap().detach_attended = true;
    let (model, store) = network(&config);
    let gradients = gradients_through_region(&model, &Pictures::new());
    for entry in store.entries() {
        let in_inverse = entry.name.starts_with("inverse.") && entry.kind == Kind::Parameter;
        assert_eq!(gradients.get(&entry.var).is_some(), in_inverse, "{}", entry.name);
    }
}

#[test]
fn a_cut_path_changes_no_value() {
    let pictures = Pictures::new();
    let mut config = config(RegionMode::MaskZoom, 3);
    let whole = fine_loss(&network(&config).0, &network(&config).0, &pictures);
    config.inverse.as_mut().unwrap().detach_attended = true;
    assert_eq!(whole, fine_loss(&network(&config).0, &network(&config).0, &pictures));
}
