//! The model as a whole: its parameters, its combinations and its limits.

mod common;

use c2f_attention::{HeadConfig, Images, Model, ModelConfig, PartsConfig, RegionMode};
use c2f_ops::nn::{NormMode, Params, Pass};
use c2f_ops::softmax;
use candle_core::{DType, ModuleT, Tensor};
use common::{SmoothBackbone, assert_close, config, params, parts_config, random, values};

fn build(params: &Params, config: &ModelConfig) -> Model {
    Model::new(SmoothBackbone::boxed(&params.at("backbone")), params, config).unwrap()
}

/// W W^T of the attention weights.
fn gram(config: &ModelConfig) -> Tensor {
    let params = params(1);
    build(&params, config);
    let weight = params.get("attention.conv.weight").unwrap().var.flatten_from(1).unwrap();
    weight.matmul(&weight.t().unwrap()).unwrap()
}

#[test]
fn orthogonal_attention_weights_start_orthonormal() {
    let mut config = config(RegionMode::Mask, 3);
    let identity = Tensor::eye(3, DType::F64, &common::device()).unwrap();
    assert_close("W W^T", &gram(&config), &identity, 1e-12);
    config.head = HeadConfig::Parts(PartsConfig { gain: 2.0, ..parts_config() });
    assert_close("W W^T", &gram(&config), &identity.affine(4.0, 0.0).unwrap(), 1e-12);
    config.head = HeadConfig::Parts(PartsConfig { orthogonal: false, ..parts_config() });
    let off_diagonal = values(&gram(&config))[1];
    assert!(off_diagonal.abs() > 1e-3, "the default weights aren't orthogonal");
}

#[test]
fn parameters_have_their_agreed_names() {
    let params = params(0).with_statistics(2);
    build(&params, &config(RegionMode::Mask, 3));
    let names: Vec<String> = params.entries().into_iter().map(|entry| entry.name).collect();
    let expected = "attention.bn.bias attention.bn.fine_running_mean attention.bn.fine_running_var \
        attention.bn.running_mean attention.bn.running_var attention.bn.weight attention.conv.weight \
        backbone.first.bias backbone.first.weight backbone.second.bias backbone.second.weight \
        classifier.bias classifier.weight inverse.attention_gain inverse.decoder.0.bn.bias inverse.decoder.0.bn.running_mean \
        inverse.decoder.0.bn.running_var inverse.decoder.0.bn.weight inverse.decoder.0.conv.weight \
        inverse.logit.bias inverse.logit.weight inverse.project.weight";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(values(&params.get("inverse.logit.bias").unwrap().var), [0.5]);
    assert_eq!(values(&params.get("inverse.attention_gain").unwrap().var), [0.75]);
}

#[test]
fn a_pooled_head_is_the_mean_and_a_linear_layer() {
    let params = params(0);
    let model = build(&params, &ModelConfig { classes: 4, head: HeadConfig::Pooled, inverse: None });
    let look = model.look(&random((2, 3, 16, 24), 1), &Pass::eval()).unwrap();
    assert!(look.parts.is_none() && look.attention.is_none());
    let pooled = look.features.mean((2, 3)).unwrap();
    let weight = params.get("classifier.weight").unwrap().var;
    assert_close("logits", &look.logits, &pooled.matmul(&weight.t().unwrap()).unwrap(), 1e-12);
}

#[test]
fn without_an_inverse_mapping_there_is_one_look() {
    let model = build(&params(0), &ModelConfig { inverse: None, ..config(RegionMode::Mask, 3) });
    let x = random((2, 3, 16, 16), 1);
    let images = Images { coarse: &x, source: &x };
    let output = model.run(&images, &Pass::eval(), Some(&Pass::eval())).unwrap();
    assert!(output.region.is_none() && output.fine.is_none());
    assert!(model.region(&images, &output.coarse, &Pass::eval()).unwrap_err().to_string().contains("inverse"));
}

#[test]
fn without_a_fine_pass_there_is_one_look() {
    let model = build(&params(0), &config(RegionMode::Zoom, 3));
    let x = random((2, 3, 16, 16), 1);
    let output = model.run(&Images { coarse: &x, source: &x }, &Pass::eval(), None).unwrap();
    assert!(output.region.is_none() && output.fine.is_none());
}

#[test]
fn the_fine_look_uses_its_own_statistics() {
    let params = params(0).with_statistics(2);
    let model = build(&params, &config(RegionMode::Mask, 3));
    let x = random((2, 3, 16, 16), 1);
    let images = Images { coarse: &x, source: &x };
    let mean = |set: &str| values(&params.get(&format!("attention.bn.{set}running_mean")).unwrap().var);
    model.run(&images, &Pass::train(), None).unwrap();
    let coarse = mean("");
    assert!(coarse.iter().all(|&value| value != 0.0));
    assert_eq!(mean("fine_"), [0.0; 3]);
    let coarse_pass = Pass { norm: NormMode::Frozen, ..Pass::train() };
    model.run(&images, &coarse_pass, Some(&Pass::train().with_statistics(1))).unwrap();
    assert_eq!(mean(""), coarse);
    assert!(mean("fine_").iter().all(|&value| value != 0.0));
}

#[test]
fn all_zero_attention_gives_finite_values_and_gradients() {
    for mode in [RegionMode::Mask, RegionMode::Zoom, RegionMode::MaskZoom] {
        let params = Params::new(&common::device(), DType::F32, 0);
        let model = build(&params, &config(mode, 3));
        let bias = params.get("attention.bn.bias").unwrap().var;
        bias.set(&Tensor::full(-100f32, 3, &common::device()).unwrap()).unwrap();
        let x = random((2, 3, 16, 24), 1).to_dtype(DType::F32).unwrap();
        let images = Images { coarse: &x, source: &x };
        let output = model.run(&images, &Pass::train(), Some(&Pass::train())).unwrap();
        let fine = output.fine.unwrap();
        assert_eq!(values(&fine.attention.unwrap()).iter().sum::<f64>(), 0.0);
        let sum = (output.coarse.logits.sqr().unwrap() + fine.logits.sqr().unwrap()).unwrap().sum_all().unwrap();
        let gradients = sum.backward().unwrap();
        for entry in params.entries() {
            let finite = |x: &Tensor| values(x).iter().all(|value| value.is_finite());
            assert!(gradients.get(&entry.var).is_none_or(finite), "{mode:?}: gradient of {}", entry.name);
        }
    }
}

#[test]
fn settings_are_checked() {
    let error = |config: ModelConfig| {
        let params = params(0);
        let backbone = SmoothBackbone::boxed(&params.at("backbone"));
        Model::new(backbone, &params, &config).err().expect("an error").to_string()
    };
    let good = config(RegionMode::Mask, 3);
    assert!(error(ModelConfig { classes: 0, ..good.clone() }).contains("classes"));
    assert!(error(ModelConfig { head: HeadConfig::Pooled, ..good.clone() }).contains("attention maps"));
    let mut config = good;
    config.inverse.as_mut().unwrap().zoom_std = f64::NAN;
    assert!(error(config).contains("inverse.zoom_std"));
}

#[test]
fn as_candles_module_it_gives_the_logarithm_of_the_mean_probability() {
    let x = random((2, 3, 16, 24), 1);
    for head in [HeadConfig::Pooled, HeadConfig::Parts(parts_config())] {
        let params = params(0);
        let inverse = config(RegionMode::Zoom, 4).inverse.filter(|_| head != HeadConfig::Pooled);
        let model = build(&params, &ModelConfig { classes: 4, head, inverse });
        for train in [true, false] {
            let output =
                model.run(&Images { coarse: &x, source: &x }, &Pass::of(train), Some(&Pass::of(train))).unwrap();
            let looks = [Some(output.coarse.logits), output.fine.map(|fine| fine.logits)];
            let looks: Vec<_> = looks.into_iter().flatten().map(|logits| softmax(&logits).unwrap()).collect();
            let mean = Tensor::stack(&looks, 0).unwrap().mean(0).unwrap();
            let given = model.forward_t(&x, train).unwrap();
            assert_close("probabilities", &given.exp().unwrap(), &mean, 1e-9);
            let labels = Tensor::new(&[1_u32, 3], &common::device()).unwrap();
            let gradients = candle_nn::loss::nll(&given, &labels).unwrap().backward().unwrap();
            let weight = params.get("classifier.weight").unwrap().var;
            assert!(values(gradients.get(&weight).unwrap()).iter().all(|value| value.is_finite()));
        }
    }
}
