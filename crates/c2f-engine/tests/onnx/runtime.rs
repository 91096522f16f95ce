//! onnxruntime, behind a Python.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use c2f_engine::{GraphInputs, Network, Prediction};
use candle_core::{DType, Tensor};
use serde_json::{Value, json};

/// The most that a probability may differ by, and any other value, relative to the largest of its output.
const TOLERANCE: f64 = 1e-4;

/// A Python that runs `check.py`.
pub struct Runtime {
    python: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Pictures, with what `predict` says of them.
pub struct Batch {
    inputs: Vec<(&'static str, Tensor)>,
    outputs: Vec<(&'static str, Tensor)>,
}

impl Batch {
    pub fn new(inputs: Vec<(&'static str, Tensor)>, prediction: &Prediction) -> Self {
        // What a prediction has of the logits: they less a number for each picture.
        let logits = |probabilities: &Tensor| probabilities.log().unwrap();
        let all = [
            ("probabilities", Some(prediction.combined.clone())),
            ("logits_coarse", Some(logits(&prediction.coarse))),
            ("logits_fine", prediction.fine.as_ref().map(logits)),
            ("attention", prediction.attention.clone()),
            ("region", prediction.region.clone()),
            ("box", prediction.boxes.clone()),
        ];
        Self { inputs, outputs: all.into_iter().filter_map(|(name, tensor)| Some((name, tensor?))).collect() }
    }

    /// Fails unless the pictures' logits differ by much more than what a comparison lets pass, and a box is less than its picture.
    pub fn assert_telling(&self, what: &str) {
        if let Some((_, boxes)) = self.outputs.iter().find(|(name, _)| *name == "box") {
            let areas = c2f_attention::box_areas(boxes).unwrap().to_vec1::<f32>().unwrap();
            assert!(areas.iter().any(|area| *area < 0.95), "{what}: the boxes' areas are {areas:?}");
        }
        let logits = &self.outputs[1].1;
        let range = (logits.max(0).unwrap() - logits.min(0).unwrap()).unwrap();
        let spread: f32 = range.max(0).unwrap().to_scalar().unwrap();
        assert!(spread > 0.005, "{what}: its logits of several pictures differ by {spread} alone");
    }
}

impl Runtime {
    /// None where there is no Python for it.
    pub fn start() -> Option<Self> {
        let Some(python) = std::env::var_os("C2F_TEST_PYTHON") else {
            eprintln!("skipped: C2F_TEST_PYTHON names no Python with onnx and onnxruntime");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/check.py");
        let mut command = Command::new(python);
        let mut python =
            command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("C2F_TEST_PYTHON");
        let (questions, answers) = (python.stdin.take(), BufReader::new(python.stdout.take().unwrap()));
        Some(Self { python, questions, answers })
    }

    /// Exports a network, and fails where onnxruntime says something else of a batch than is expected of it. ONNX's own evaluator,
    /// in which larger networks take minutes, is asked of the smallest.
    pub fn check(&mut self, what: &str, network: &Network, inputs: GraphInputs, batches: &[Batch]) {
        let folder = tempfile::tempdir().unwrap();
        c2f_engine::export_onnx(network, inputs, &folder.path().join("model.onnx")).unwrap();
        let batches: Vec<Value> =
            batches.iter().enumerate().map(|(i, batch)| written(folder.path(), i, batch)).collect();
        let case = json!({
            "folder": folder.path(),
            "classes": network.classes,
            "batches": batches,
            "reference": network.recipe.backbone == "c2f_tiny",
            "tolerance": TOLERANCE,
        });
        writeln!(self.questions.as_mut().unwrap(), "{case}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).expect(what);
        assert!(answer["error"].is_null(), "{what}: {}", answer["error"]);
        println!("{what}: {}", answer["differences"]);
    }
}

impl Drop for Runtime {
    /// Without questions it ends.
    fn drop(&mut self) {
        self.questions = None;
        self.python.wait().unwrap();
    }
}

/// Writes a batch into the folder, and says what is where.
fn written(folder: &Path, number: usize, batch: &Batch) -> Value {
    let write = |name: &str, tensor: &Tensor| {
        let file = format!("{number}-{name}");
        let flat = tensor.flatten_all().unwrap();
        let (bytes, dtype): (Vec<u8>, _) = match tensor.dtype() {
            DType::U8 => (flat.to_vec1().unwrap(), "uint8"),
            _ => (flat.to_vec1::<f32>().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect(), "float32"),
        };
        std::fs::write(folder.join(&file), bytes).unwrap();
        json!({"file": file, "shape": tensor.dims(), "dtype": dtype})
    };
    let all = |tensors: &[(&'static str, Tensor)]| -> BTreeMap<&'static str, Value> {
        tensors.iter().map(|(name, tensor)| (*name, write(name, tensor))).collect()
    };
    json!({"inputs": all(&batch.inputs), "outputs": all(&batch.outputs)})
}
