"""Asks a running server through NVIDIA's client, which is not ours: pip install 'tritonclient[http]' pillow

    c2f-train serve RUN --port 8080
    python with_tritonclient.py 127.0.0.1:8080 NAME
"""

import base64
import io
import json
import sys
import urllib.request

import numpy as np
import tritonclient.http as triton
from PIL import Image

address, name = sys.argv[1:]
client = triton.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name)
assert not client.is_model_ready("no such model")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
pictures = client.get_model_metadata(name)["inputs"][1]
size = pictures["shape"][2]
random = np.random.default_rng(1)

# Files, in bytes and in base64, answered in bytes and in JSON, have the scores of `POST /`.
file = io.BytesIO()
Image.fromarray(random.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(file, "PNG")
file = file.getvalue()
request = urllib.request.Request(f"http://{address}/?top_k=1000000", file, {"Content-Type": "image/png"})
scores = {one["label"]: np.float32(one["score"]) for one in json.load(urllib.request.urlopen(request))}
for binary in (True, False):
    image = triton.InferInput("image", [2], "BYTES")
    data = file if binary else base64.b64encode(file)
    image.set_data_from_numpy(np.array([data, data], dtype=object), binary_data=binary)
    for answer in (None, True, False):
        outputs = answer is not None and [
            triton.InferRequestedOutput(output, binary_data=answer) for output in ("probabilities", "classes")
        ]
        result = client.infer(name, [image], outputs=outputs or None)
        classes = [c.decode() if isinstance(c, bytes) else c for c in result.as_numpy("classes")]
        for row in result.as_numpy("probabilities"):
            assert dict(zip(classes, row)) == scores, (binary, answer)

# Tensors, in bytes and in JSON, have one answer.
values = random.random((3, 3, size, size), dtype=np.float32)
answers = []
for binary in (True, False):
    tensor = triton.InferInput("pictures", list(values.shape), pictures["datatype"])
    tensor.set_data_from_numpy(values, binary_data=binary)
    answers.append(client.infer(name, [tensor]).as_numpy("probabilities"))
assert answers[0].shape == (3, len(scores)) and np.array_equal(*answers)

# What is wrong is said.
tensor.set_data_from_numpy(values * 255)
try:
    client.infer(name, [tensor])
except triton.InferenceServerException as error:
    assert error.status() == "400" and "expected 0 to 1" in error.message(), error
else:
    raise AssertionError("pixels up to 255 are taken")
print("tritonclient and the server agree")
