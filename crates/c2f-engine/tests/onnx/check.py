"""Runs ONNX files in onnxruntime and compares with what c2f computed: pip install onnx onnxruntime numpy

Reads a line of JSON for each file from stdin, and answers each by a line: the largest difference of every output, or an error.
"""

import json
import sys

import numpy as np
import onnx
import onnx.reference
import onnxruntime


def read(folder, tensor):
    values = np.fromfile(f"{folder}/{tensor['file']}", dtype=tensor["dtype"])
    return values.reshape(tensor["shape"])


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def check(case):
    folder = case["folder"]
    path = f"{folder}/model.onnx"
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)], model.opset_import
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["c2f_classes"]) == case["classes"], metadata
    assert all(key in metadata for key in ("c2f_crop", "c2f_mean", "c2f_std", "c2f_backbone", "c2f_recipe")), metadata
    # Normalisation is folded into the convolutions.
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    runs = {"onnxruntime": session.run}
    differences = {}
    for number, batch in enumerate(case["batches"]):
        # Slow, and nobody's but ONNX's own: a single picture.
        runs.pop("onnx.reference", None)
        if case["reference"] and number == 0:
            runs["onnx.reference"] = onnx.reference.ReferenceEvaluator(model).run
        inputs = {name: read(folder, tensor) for name, tensor in batch["inputs"].items()}
        expected = {name: read(folder, tensor) for name, tensor in batch["outputs"].items()}
        assert sorted(names) == sorted(expected), (names, list(expected))
        for runtime, run in runs.items():
            for name, got in zip(names, run(None, inputs)):
                # c2f's prediction has probabilities, which say nothing of what is added to all logits.
                got = log_softmax(got) if name.startswith("logits") else got
                assert got.shape == expected[name].shape and got.dtype == np.float32, (name, got.shape, got.dtype)
                scale = max(1.0, np.abs(expected[name]).max())
                difference = float(np.abs(got - expected[name]).max() / scale)
                assert difference <= case["tolerance"], f"{runtime}, {name}: {difference}"
                differences[name] = max(difference, differences.get(name, 0.0))
    return differences


for line in sys.stdin:
    try:
        answer = {"differences": check(json.loads(line))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
    print(json.dumps(answer), flush=True)
