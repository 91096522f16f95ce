"""Measures training steps or predictions in PyTorch, as `c2f-train bench --json` does in c2f.

Run: python torch_step.py --backbone resnet50 --method baseline --mode train --batch-size 8 --steps 5 --threads 2
(PyTorch, torchvision, timm)

Eager mode, f32, channels-last, on noise. Prints one JSON object: images_per_s, step_ms_median and peak_rss_mb. The loss
and the optimiser are those of c2f's recipe `default`.
"""

import argparse
import json
import statistics
from collections.abc import Callable

import torch

from torch_measure import memory_mb, seconds
from torch_models import CLASSES, SOURCE_SCALE, Baseline, Coarse2Fine

# The first steps allocate memory and start threads.
WARM_UP = 2
METHODS = {"baseline": Baseline, "coarse2fine": Coarse2Fine}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True, help="timm's or torchvision's name")
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--mode", required=True, choices=["train", "infer"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def noise(batch: int, size: int) -> torch.Tensor:
    return torch.empty(batch, 3, size, size).uniform_(-2.0, 2.0).contiguous(memory_format=torch.channels_last)


def optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """Biases and norm weights don't decay."""
    decaying = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": 1e-4}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)


def training(
    model: torch.nn.Module, images: torch.Tensor, source: torch.Tensor, labels: torch.Tensor
) -> Callable[[], object]:
    model.train()
    moves = optimizer(model)

    def step() -> None:
        moves.zero_grad(set_to_none=True)
        model.loss(images, source, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        moves.step()

    return step


def inference(model: torch.nn.Module, images: torch.Tensor, source: torch.Tensor) -> Callable[[], object]:
    model.eval()

    def step() -> torch.Tensor:
        with torch.inference_mode():
            return model.predict(images, source)

    return step


def main() -> None:
    args = arguments()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = METHODS[args.method](args.backbone).to(memory_format=torch.channels_last)
    images = noise(args.batch_size, args.image_size)
    # A method that looks once needs no larger picture.
    source = noise(args.batch_size, SOURCE_SCALE * args.image_size) if args.method == "coarse2fine" else images
    labels = torch.arange(args.batch_size) % CLASSES
    step = training(model, images, source, labels) if args.mode == "train" else inference(model, images, source)
    times = [seconds(step) for _ in range(WARM_UP + args.steps)]
    median = statistics.median(times[WARM_UP:])
    speed = {
        "images_per_s": args.batch_size / median,
        "step_ms_median": median * 1e3,
        "peak_rss_mb": memory_mb("VmHWM"),
    }
    print(json.dumps(speed))


main()
