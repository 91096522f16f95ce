//! Backbones in candle's own language.

use c2f_backbone::{FeatureConfig, build};
use c2f_ops::nn::{Params, Pass};
use candle_core::{DType, Device, ModuleT, Tensor};
use candle_nn::{VarBuilder, VarMap};

fn images() -> Tensor {
    let values: Vec<f32> =
        (0..2 * 3 * 48 * 48_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e7).collect();
    Tensor::from_vec(values, (2, 3, 48, 48), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_backbone_lives_in_a_var_map_and_is_a_module() {
    let map = VarMap::new();
    let builder = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let params = Params::from_var_builder(builder.pp("backbone"), 3);
    let backbone = build("c2f_tiny", &params, &FeatureConfig::default()).unwrap();
    let own = Params::new(&Device::Cpu, DType::F32, 3);
    let expected = build("c2f_tiny", &own, &FeatureConfig::default()).unwrap();
    assert_eq!(map.all_vars().len(), own.entries().len());

    let y = backbone.forward_t(&images(), false).unwrap();
    assert_eq!(values(&y), values(&expected.run(&images(), &Pass::eval()).unwrap()));
    // Evaluation tracks the weights.
    let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&params.get("conv1.weight").unwrap().var).is_some());

    // A memory-mapped file of the map makes the same network.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("map.safetensors");
    backbone.forward_t(&images(), true).unwrap();
    map.save(&file).unwrap();
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let params = Params::from_var_builder(builder.pp("backbone"), 0);
    let again = build("c2f_tiny", &params, &FeatureConfig::default()).unwrap();
    let (a, b) = (again.forward_t(&images(), false).unwrap(), backbone.forward_t(&images(), false).unwrap());
    assert_eq!(values(&a), values(&b));
    assert_ne!(values(&b), values(&y), "training moved no statistics");

    let builder = VarBuilder::from_tensors(std::collections::HashMap::new(), DType::F32, &Device::Cpu);
    let error = build("c2f_tiny", &Params::from_var_builder(builder, 0), &FeatureConfig::default()).err().unwrap();
    assert!(error.to_string().contains("conv1.weight"), "{error}");
}
