"""Measures how fast torchvision reads the pictures of a folder for training, as c2f's example `loader` does.

Run: python torch_loader.py --folder DIR --image-size 224 --threads 2 [--tensors]
(PyTorch, torchvision)

Decoding, RandomResizedCrop, RandomHorizontalFlip, conversion to f32 and Normalize in a DataLoader with a worker for each thread,
batches of 32: on Pillow's pictures, as most scripts do it, or with --tensors decoded and transformed as tensors (torchvision.io and
transforms.v2), which is faster. Of the folder's pictures, a thousand at most are read, twice; prints one JSON object with the pictures per second of the second time.
"""

import argparse
import json

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from torch_measure import seconds

# Evenly spaced among those of the folder.
MOST_PICTURES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tensors", action="store_true")
    return parser.parse_args()


def read_tensor(path: str) -> torch.Tensor:
    return decode_image(path, ImageReadMode.RGB)


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    if args.tensors:
        transform = v2.Compose([
            v2.RandomResizedCrop(args.image_size, scale=(0.5, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ])
        pictures = datasets.ImageFolder(args.folder, transform, loader=read_tensor, allow_empty=True)
    else:
        transform = transforms.Compose([
            transforms.RandomResizedCrop(args.image_size, scale=(0.5, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ])
        pictures = datasets.ImageFolder(args.folder, transform, allow_empty=True)
    pictures.samples = pictures.samples[:: -(-len(pictures.samples) // MOST_PICTURES)]
    loader = DataLoader(pictures, batch_size=32, shuffle=True, num_workers=args.threads, persistent_workers=True)

    def read() -> None:
        for _ in loader:
            pass

    # The first time starts the workers and fills the operating system's cache of files.
    read()
    print(json.dumps({"images_per_s": len(pictures) / seconds(read)}))


main()
