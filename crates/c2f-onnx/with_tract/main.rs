//! Runs ONNX files in tract, and compares with what c2f computed: as c2f-engine's `tests/onnx/check.py` does, whose questions it takes.
//!
//! ```sh
//! cargo build --release --manifest-path crates/c2f-onnx/with_tract/Cargo.toml --target-dir target/tract
//! C2F_TEST_TRACT=$PWD/target/tract/release/with_tract cargo test --workspace --test onnx
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tract_onnx::prelude::*;

fn main() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let case = serde_json::from_str(&line).expect("a question is JSON");
        let answer = match check(&case) {
            Ok(differences) => json!({"differences": differences}),
            Err(error) => json!({"error": format!("tract: {error:?}")}),
        };
        println!("{answer}");
        std::io::stdout().flush().expect("stdout");
    }
}

/// The largest difference of each output.
fn check(case: &Value) -> TractResult<BTreeMap<String, f32>> {
    let folder = case["folder"].as_str().context("folder")?;
    let mut differences = BTreeMap::new();
    for batch in case["batches"].as_array().context("batches")? {
        let mut model = onnx().model_for_path(format!("{folder}/model.onnx"))?;
        let names = |model: &InferenceModel, outlets: &[OutletId]| -> Vec<String> {
            outlets.iter().map(|outlet| model.node(outlet.node).name.clone()).collect()
        };
        let mut inputs = tvec!();
        for (index, name) in names(&model, &model.inputs).into_iter().enumerate() {
            let tensor = read(folder, &batch["inputs"][&name])?;
            model.set_input_fact(index, tensor.datum_type().fact(tensor.shape()).into())?;
            inputs.push(tensor.into());
        }
        let outputs: Vec<String> =
            model.outputs.iter().map(|outlet| model.outlet_label(*outlet).unwrap_or_default().to_owned()).collect();
        // The sizes are those of the inputs, whatever the file calls them.
        for index in 0..outputs.len() {
            model.set_output_fact(index, InferenceFact::default())?;
        }
        for (name, got) in outputs.into_iter().zip(model.into_optimized()?.into_runnable()?.run(inputs)?) {
            let expected = read(folder, &batch["outputs"][&name])?;
            ensure!(got.shape() == expected.shape(), "{name} has shape {:?}", got.shape());
            let mut got = values(&got)?;
            let expected = values(&expected)?;
            if name.starts_with("logits") {
                let classes = case["classes"].as_array().context("classes")?.len();
                got.chunks_mut(classes).for_each(log_softmax);
            }
            let scale = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
            let difference = got.iter().zip(&expected).fold(0.0_f32, |d, (a, b)| d.max((a - b).abs())) / scale;
            ensure!(f64::from(difference) <= case["tolerance"].as_f64().context("tolerance")?, "{name}: {difference}");
            let most = differences.entry(name).or_insert(0.0);
            *most = difference.max(*most);
        }
    }
    Ok(differences)
}

fn read(folder: &str, tensor: &Value) -> TractResult<Tensor> {
    let bytes = std::fs::read(format!("{folder}/{}", tensor["file"].as_str().context("file")?))?;
    let shape = tensor["shape"].as_array().context("shape")?;
    let shape: Vec<usize> = shape.iter().map(|size| size.as_u64().unwrap_or_default() as usize).collect();
    if tensor["dtype"] == "uint8" {
        return Tensor::from_shape(&shape, &bytes);
    }
    let (values, _) = bytes.as_chunks::<4>();
    Tensor::from_shape(&shape, &values.iter().map(|value| f32::from_le_bytes(*value)).collect::<Vec<_>>())
}

fn values(tensor: &Tensor) -> TractResult<Vec<f32>> {
    Ok(tensor.to_plain_array_view::<f32>()?.iter().copied().collect())
}

fn log_softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = logits.iter().map(|logit| (logit - most).exp()).sum::<f32>().ln() + most;
    logits.iter_mut().for_each(|logit| *logit -= sum);
}
