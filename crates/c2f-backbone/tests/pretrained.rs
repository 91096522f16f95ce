//! EfficientNet-Lite0 as trained on ImageNet, on photographs. Needs `C2F_TEST_WEIGHTS` and `C2F_TEST_DATA`.

use std::path::{Path, PathBuf};

use c2f_backbone::{Backbone, BackboneInfo, FeatureConfig, build, load_weights, read_weights};
use c2f_ops::nn::{Params, Pass};
use candle_core::{D, DType, Device, Tensor};

const NAME: &str = "tf_efficientnet_lite0";
/// ImageNet's class "albatross".
const ALBATROSS: usize = 146;

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} is not set");
    }
    folder
}

fn load(file: &Path) -> Box<dyn Backbone> {
    let params = Params::new(&Device::Cpu, DType::F32, 0).at("backbone");
    let backbone = build(NAME, &params, &FeatureConfig::default()).unwrap();
    let report = load_weights(NAME, &params, file).unwrap();
    assert!(report.fits());
    assert_eq!(report.loaded, params.entries().len());
    backbone
}

/// The first pictures in the order of the data set's own list, which starts with albatrosses: (B, 3, 224, 224).
fn pictures(data: &Path, count: usize, info: &BackboneInfo) -> Tensor {
    let root = data.join("cub200_2010");
    let list = std::fs::read_to_string(root.join("lists/files.txt")).unwrap();
    let picture = |line: &str| {
        let image = image::open(root.join("images").join(line.trim())).unwrap().into_rgb8();
        let (width, height) = image.dimensions();
        let pixels = Tensor::from_vec(image.into_raw(), (height as usize, width as usize, 3), &Device::Cpu).unwrap();
        pixels.permute((2, 0, 1)).unwrap()
    };
    let pictures: Vec<_> = list.lines().take(count).map(picture).collect();
    let pixels = Tensor::stack(&pictures, 0).unwrap().to_dtype(DType::F32).unwrap().affine(1.0 / 255.0, 0.0).unwrap();
    let channels = |values: [f32; 3]| Tensor::new(&values, &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
    let centred = pixels.broadcast_sub(&channels(info.mean)).unwrap();
    centred.broadcast_div(&channels(info.std)).unwrap()
}

#[test]
fn albatrosses_are_recognised_and_both_files_say_the_same() {
    let (Some(weights), Some(data)) = (folder("C2F_TEST_WEIGHTS"), folder("C2F_TEST_DATA")) else { return };
    let timm = weights.join("tf_efficientnet_lite0.safetensors");
    let pytorch = weights.join("efficientnet-lite0-57934424.pth");

    let backbone = load(&timm);
    let images = pictures(&data, 40, backbone.info());
    let features = |backbone: &dyn Backbone, images: &Tensor| backbone.run(images, &Pass::eval()).unwrap();
    let maps = features(&*backbone, &images);
    assert_eq!(maps.dims(), [40, 1280, 7, 7]);

    let classifier = read_weights(&timm).unwrap();
    let pooled = maps.mean((2, 3)).unwrap();
    let logits = pooled.matmul(&classifier["classifier.weight"].t().unwrap()).unwrap();
    let logits = logits.broadcast_add(&classifier["classifier.bias"]).unwrap();
    let winners = logits.argmax(D::Minus1).unwrap().to_vec1::<u32>().unwrap();
    let top1 = winners.iter().filter(|&&class| class as usize == ALBATROSS).count() as f64 / 40.0;
    let odds = logits.broadcast_sub(&logits.max_keepdim(1).unwrap()).unwrap().exp().unwrap();
    let probabilities = odds.broadcast_div(&odds.sum_keepdim(1).unwrap()).unwrap();
    let albatross = probabilities.narrow(1, ALBATROSS, 1).unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
    println!("top-1 {top1}, mean probability {albatross}");
    // timm in PyTorch: 0.925 and 0.753. The rest is for another JPEG decoder.
    assert!((top1 - 0.925).abs() < 0.03, "{top1}");
    assert!((albatross - 0.753).abs() < 0.01, "{albatross}");

    let few = images.narrow(0, 0, 4).unwrap();
    let values = |maps: Tensor| maps.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(values(features(&*load(&pytorch), &few)) == values(features(&*backbone, &few)));
}
