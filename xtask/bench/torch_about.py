"""Says which PyTorch this is, what it occupies before it computes, and how fast it multiplies matrices.

Run: python torch_about.py --threads 2   (PyTorch, torchvision, timm)
"""

import argparse
import json
from importlib.metadata import version

import torch

from torch_measure import median_seconds, memory_mb

SIDE = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    imported_mb = memory_mb("VmRSS")
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    product = median_seconds(lambda: torch.mm(a, b), budget=1.0, most=15)
    about = {
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "timm": version("timm"),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "imported_mb": imported_mb,
        "matrix_product_gflops": 2 * SIDE**3 / product / 1e9,
    }
    print(json.dumps(about))


main()
