//! Pairs and their interaction, alone and against a PyTorch implementation of their definition (fixtures/pairs.py).

mod common;

use c2f_attention::{HeadConfig, PairInteraction, nearest_pairs};
use c2f_losses::{cross_entropy, score_ranking};
use c2f_ops::nn::{Kind, Pass};
use candle_core::Tensor;
use common::{assert_close, assert_gradients, device, fixture, model_of, random};

#[test]
fn pairs_logits_loss_and_gradients_are_pytorchs() {
    let expected = fixture("pairs");
    let (model, features, params) = model_of(&expected, HeadConfig::Pooled);
    let interaction = PairInteraction::new(&params.at("pairs"), 5, 4).unwrap();
    for entry in params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter) {
        entry.var.set(&expected[&entry.name]).unwrap();
    }
    let pass = Pass::train();
    let look = model.look(&random((6, 3, 8, 8), 0), &pass).unwrap();
    let vectors = look.features.mean((2, 3)).unwrap();
    let labels: Vec<u32> = expected["labels"].to_vec1().unwrap();
    let pairs = nearest_pairs(&vectors, &labels).unwrap();
    let flat: Vec<u32> = pairs.iter().flat_map(|&(one, two)| [one, two]).collect();
    assert_eq!(flat, expected["pairs"].flatten_all().unwrap().to_vec1::<u32>().unwrap());

    let mut used = 0;
    let mut drop = |x: &Tensor| {
        used += 1;
        x * &expected[&format!("dropout.{}", used - 1)]
    };
    let side = |side: usize| Tensor::from_iter(flat.iter().skip(side).step_by(2).copied(), &device()).unwrap();
    let sides = [side(0), side(1)];
    let [one, two] = [0, 1].map(|side| vectors.index_select(&sides[side], 0).unwrap());
    let gated = interaction.run(&one, &two, &mut drop, &pass).unwrap();
    let [own_one, other_one, own_two, other_two] = [&gated.one[0], &gated.one[1], &gated.two[0], &gated.two[1]]
        .map(|vectors| model.score(&drop(vectors).unwrap(), &pass).unwrap());
    let [own, other] = [[own_one, own_two], [other_one, other_two]].map(|both| Tensor::cat(&both, 0).unwrap());
    assert_close("own", &own, &expected["own"], 1e-9);
    assert_close("other", &other, &expected["other"], 1e-9);

    let labels = Tensor::cat(&sides, 0).unwrap();
    let labels = expected["labels"].index_select(&labels, 0).unwrap();
    let ranking = score_ranking(&own, &other, &labels, 0.05).unwrap();
    assert_close("ranking", &ranking, &expected["ranking"], 1e-9);
    let all = [Tensor::cat(&[own, other], 0).unwrap(), Tensor::cat(&[&labels, &labels], 0).unwrap()];
    let loss = (cross_entropy(&all[0], &all[1], 0.0).unwrap() + ranking).unwrap();
    assert_close("loss", &loss, &expected["loss"], 1e-9);
    assert_gradients(&loss, &features, &params, &expected);
}

#[test]
fn a_picture_that_is_alone_has_no_pair() {
    let features = Tensor::new(&[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]], &device()).unwrap();
    assert_eq!(nearest_pairs(&features, &[0, 1, 0]).unwrap(), [(0, 2), (2, 0), (0, 1), (1, 0), (2, 1)]);
    assert_eq!(nearest_pairs(&features, &[0, 0, 0]).unwrap(), [(0, 1), (1, 0), (2, 1)]);
    assert_eq!(nearest_pairs(&features.narrow(0, 0, 1).unwrap(), &[0]).unwrap(), []);
    assert!(nearest_pairs(&features, &[0, 1]).unwrap_err().to_string().contains("(2, C)"));
}
