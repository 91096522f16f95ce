//! A look's effect, alone and against a PyTorch implementation of its definition (fixtures/counterfactual.py).

mod common;

use c2f_attention::{HeadConfig, counterfactual};
use c2f_losses::cross_entropy;
use c2f_ops::nn::Pass;
use common::{assert_close, assert_gradients, fixture, model_of, parts_config, random, values};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn effect_loss_and_gradients_are_pytorchs() {
    let expected = fixture("counterfactual");
    let (model, features, params) = model_of(&expected, HeadConfig::Parts(parts_config()));
    let look = model.look(&random((3, 3, 8, 8), 0), &Pass::train()).unwrap();
    let effect = counterfactual::effect(&model, &look, expected["counterfactual"].clone(), &Pass::train()).unwrap();
    assert_close("logits", &look.logits, &expected["logits"], 1e-9);
    assert_close("effect", &effect, &expected["effect"], 1e-9);
    let labels = &expected["labels"];
    let loss = [&look.logits, &effect].map(|logits| cross_entropy(logits, labels, 0.0).unwrap());
    let loss = (&loss[0] + &loss[1]).unwrap();
    assert_close("loss", &loss, &expected["loss"], 1e-9);
    assert_gradients(&loss, &features, &params, &expected);
}

#[test]
fn random_attention_is_even_and_keyed() {
    let maps = random((2, 3, 20, 30), 0);
    let draw = |seed| values(&counterfactual::random_attention(&maps, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap());
    let drawn = draw(1);
    assert_eq!(drawn.len(), maps.elem_count());
    assert!(drawn.iter().all(|value| (0.0..2.0).contains(value)));
    // 3600 values: the standard errors of mean and share are 0.01.
    let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
    let upper = drawn.iter().filter(|value| **value > 1.5).count() as f64 / drawn.len() as f64;
    assert!((mean - 1.0).abs() < 0.05 && (upper - 0.25).abs() < 0.04, "{mean} {upper}");
    assert_eq!(drawn, draw(1));
    assert_ne!(drawn, draw(2));
}
