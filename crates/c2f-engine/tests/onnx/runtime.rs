//! onnxruntime, behind a Python, and tract.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use c2f_engine::{GraphInputs, Network, Prediction};
use candle_core::{DType, Tensor};
use serde_json::{Value, json};

/// The most that a probability may differ by, and any other value, relative to the largest of its output.
const TOLERANCE: f64 = 1e-4;

/// The programs that run exported networks, at least one.
pub struct Runtime(Vec<Program>);

/// It answers each line of JSON by one.
struct Program {
    child: Child,
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
    /// None where there is no program: neither a Python nor tract.
    pub fn start() -> Option<Self> {
        let python = std::env::var_os("C2F_TEST_PYTHON").map(|python| {
            let mut command = Command::new(python);
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/check.py"));
            command
        });
        let tract = std::env::var_os("C2F_TEST_TRACT").map(Command::new);
        let programs: Vec<Program> = [python, tract].into_iter().flatten().map(Program::start).collect();
        if programs.is_empty() {
            println!("skipped: C2F_TEST_PYTHON names no Python with onnx and onnxruntime");
            return None;
        }
        Some(Self(programs))
    }

    /// Exports a network, and fails where a program says something else of a batch than is expected of it. ONNX's own evaluator,
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
        for program in &mut self.0 {
            let answer = program.ask(&case);
            assert!(answer["error"].is_null(), "{what}: {}", answer["error"]);
            println!("{what}: {}", answer["differences"]);
        }
    }
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program that C2F_TEST_PYTHON or C2F_TEST_TRACT names");
        let (questions, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions.as_mut().unwrap(), "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("an answer is JSON")
    }
}

impl Drop for Program {
    /// Without questions it ends.
    fn drop(&mut self) {
        self.questions = None;
        self.child.wait().unwrap();
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
