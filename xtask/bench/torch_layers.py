"""Measures convolutions in PyTorch, channels-last, f32.

Run: cargo run --release -p c2f-ops --example layers > layers.jsonl
     python torch_layers.py --threads 2 layers.jsonl   (PyTorch)

Reads one JSON object per line with name, batch, inputs, outputs, size, kernel, stride and groups; prints one per line
with name, forward and backward: GFLOP/s, a multiplication and an addition being two operations. `backward` is the
input's and the weight's gradient together.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from torch_measure import median_seconds

# The same as in the example `layers` of c2f-ops.
BUDGET, MOST_RUNS = 0.3, 15


def measure(layer: dict) -> dict:
    kernel, stride, groups = layer["kernel"], layer["stride"], layer["groups"]
    padding = (kernel - 1) // 2
    shape = (layer["batch"], layer["inputs"], layer["size"], layer["size"])
    x = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(layer["outputs"], layer["inputs"] // groups, kernel, kernel)
    weight = weight.contiguous(memory_format=torch.channels_last)

    def forward() -> torch.Tensor:
        return F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)

    y = forward()
    gradient = torch.rand_like(y)

    def backward() -> tuple[torch.Tensor, ...]:
        geometry = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups)
        return torch.ops.aten.convolution_backward(gradient, x, weight, None, *geometry, [True, True, False])

    giga = 2 * y.numel() * weight[0].numel() / 1e9
    return {
        "name": layer["name"],
        "forward": giga / median_seconds(forward, BUDGET, MOST_RUNS),
        "backward": 2 * giga / median_seconds(backward, BUDGET, MOST_RUNS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("layers", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with torch.inference_mode():
        for line in arguments.layers.read_text(encoding="utf-8").splitlines():
            print(json.dumps(measure(json.loads(line))))


main()
