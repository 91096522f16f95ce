//! What makes the method Coarse2Fine: the fine look's loss reaches attention and backbone through the region map.

mod common;

use c2f_attention::{Images, Model, ModelConfig, Region, RegionMode, RegionSource};
use c2f_losses::cross_entropy;
use c2f_ops::nn::{Entry, Kind, Params, Pass, Weights};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
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
    let region = coarse.region(&pictures.images(), &look, &pass).unwrap();
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
fn fine_loss_reaches_attention_and_backbone_through_the_warp() {
    fine_loss_reaches_attention_and_backbone(RegionMode::Warp);
}

#[test]
fn what_detail_is_kept_passes_a_gradient_and_the_box_does_not() {
    let pictures = Pictures::new();
    let (model, store) = network(&config(RegionMode::Detail, 3));
    let gradients = gradients_through_region(&model, &pictures);
    for name in ["attention.conv.weight", "backbone.first.weight", "inverse.project.weight"] {
        let gradient = values(gradients.get(&store.get(name).unwrap().var).expect("a gradient"));
        assert!(gradient.iter().any(|value| value.abs() > 1e-6), "{name}");
    }

    let pass = Pass::train().with_weights(Weights::Detached);
    let look = model.look(&pictures.coarse, &pass).unwrap();
    let found = model.region(&pictures.images(), &look, &pass).unwrap();
    let detail = Var::from_tensor(found.detail.as_ref().unwrap()).unwrap();
    let boxes = Var::from_tensor(found.boxes().unwrap()).unwrap();
    let loss = || {
        let region = Region {
            detail: Some(detail.as_tensor().clone()),
            map: found.map.detach(),
            ..found.with_boxes(boxes.as_tensor().clone())
        };
        let input = model.fine_input(&pictures.images(), &region).unwrap();
        cross_entropy(&model.look(&input, &pass).unwrap().logits, &pictures.labels, 0.0).unwrap()
    };
    let gradients = loss().backward().unwrap();
    assert!(gradients.get(&boxes).is_none());
    let gradient = values(gradients.get(&detail).unwrap());
    let largest = gradient.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    assert!(largest > 1e-5);
    for element in (0..gradient.len()).step_by(97) {
        let entry = Entry { name: "detail".to_owned(), var: detail.clone(), kind: Kind::Parameter };
        let difference = central_difference(&entry, element, || loss().to_scalar().unwrap());
        assert!((gradient[element] - difference).abs() < 1e-5 * largest, "{element}: {difference}");
    }
}

#[test]
fn a_region_from_the_attention_alone_has_a_gain_and_a_bias() {
    let mut config = config(RegionMode::Zoom, 3);
    config.inverse.as_mut().unwrap().source = RegionSource::Attention;
    let (model, store) = network(&config);
    let names: Vec<String> = store.at("inverse").entries().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["inverse.attention_gain", "inverse.logit.bias"]);
    let gradients = gradients_through_region(&model, &Pictures::new());
    for name in ["inverse.attention_gain", "inverse.logit.bias", "attention.conv.weight"] {
        let gradient = values(gradients.get(&store.get(name).unwrap().var).expect("a gradient"));
        assert!(gradient.iter().any(|value| value.abs() > 1e-9), "{name}");
    }
}

#[test]
fn a_box_that_nothing_has_learnt_has_its_area_and_no_gradient() {
    for source in [RegionSource::Centre, RegionSource::Random] {
        let mut config = config(RegionMode::Zoom, 3);
        config.inverse.as_mut().unwrap().source = source;
        let (model, store) = network(&config);
        assert!(store.at("inverse").entries().is_empty());
        let output = model.run(&Pictures::new().images(), &Pass::train(), Some(&Pass::train())).unwrap();
        let region = output.region.unwrap();
        assert!(values(&region.area().unwrap()).iter().all(|area| (area - 0.45).abs() < 1e-9), "{source:?}");
        assert!(output.fine.is_some());
        assert!(
            gradients_through_region(&model, &Pictures::new())
                .get(&store.get("attention.conv.weight").unwrap().var)
                .is_none()
        );
    }
    let mut config = config(RegionMode::Mask, 3);
    config.inverse.as_mut().unwrap().source = RegionSource::Centre;
    let params = params(SEED);
    let error = Model::new(SmoothBackbone::boxed(&params.at("backbone")), &params, &config).err().unwrap();
    assert!(error.to_string().contains("inverse.mode"), "{error}");
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
