//! Tensors without values: every loss refuses them, as their mean would be NaN.

use c2f_losses::{
    CenterLoss, ChannelGroups, area_penalty, attention_correlation, attention_similarity, cross_entropy, score_ranking,
    soft_cross_entropy, total_variation, weighted_cross_entropy,
};
use c2f_ops::nn::Params;
use candle_core::{DType, Device, Shape, Tensor};

fn zeros(shape: impl Into<Shape>, dtype: DType) -> Tensor {
    Tensor::zeros(shape, dtype, &Device::Cpu).unwrap()
}

#[test]
fn a_batch_without_pictures_is_an_error_of_every_loss() {
    let center = CenterLoss::new(&Params::new(&Device::Cpu, DType::F32, 0), 3, 4, 0.05).unwrap();
    let float = DType::F32;
    let groups = ChannelGroups::new(5, 2).unwrap();
    let losses = |batch: usize| {
        let labels = zeros(batch, DType::U32);
        [
            c2f_ops::log_softmax(&zeros((batch, 3), float)).map_err(Into::into),
            cross_entropy(&zeros((batch, 3), float), &labels, 0.0),
            cross_entropy(&zeros((batch, 3), float), &labels, 0.1),
            soft_cross_entropy(&zeros((batch, 3), float), &zeros((batch, 3), float), 0.1),
            weighted_cross_entropy(&zeros((batch, 3), float), &labels, &zeros(3, float), 0.1),
            score_ranking(&zeros((batch, 3), float), &zeros((batch, 3), float), &labels, 0.05),
            center.loss(&zeros((batch, 4), float), &labels),
            center.update(&zeros((batch, 4), float), &labels).map(|()| labels),
            attention_similarity(&zeros((batch, 2, 3, 3), float)),
            attention_correlation(&zeros((batch, 2, 3, 3), float)),
            groups.responses(&zeros((batch, 5, 3, 3), float), &zeros(5, float)),
            groups.diversity(&zeros((batch, 5, 3, 3), float)),
            area_penalty(&zeros(batch, float), 0.3),
            total_variation(&zeros((batch, 1, 3, 3), float)),
        ]
    };
    for loss in losses(1) {
        loss.unwrap();
    }
    for loss in losses(0) {
        let error = loss.unwrap_err().to_string();
        assert!(error.contains("[0") && error.contains("no dimension of 0"), "{error}");
    }
    assert!(cross_entropy(&zeros((2, 0), float), &zeros(2, DType::U32), 0.0).is_err());
    assert!(total_variation(&zeros((2, 1, 0, 3), float)).is_err());
}
