"""Times ONNX Runtime on a network that `c2f-train export --format onnx` wrote.

    python onnxruntime_infer.py network.onnx BATCH [SIDE]

Prints the median milliseconds of 15 batches of noise, after three to warm up, on two threads. Needs onnxruntime and numpy.
"""

import statistics
import sys
import time

import numpy as np
import onnxruntime

WARM_UP, STEPS, THREADS = 3, 15, 2

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = THREADS
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
batch, side = int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 224
pictures = np.random.default_rng(0).random((batch, 3, side, side), np.float32)
milliseconds = []
for _ in range(WARM_UP + STEPS):
    start = time.perf_counter()
    session.run(["probabilities"], {"pictures": pictures})
    milliseconds.append(1e3 * (time.perf_counter() - start))
print(f"{statistics.median(milliseconds[WARM_UP:]):.2f}")
