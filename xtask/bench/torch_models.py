"""The networks of c2f's methods `baseline` and `coarse2fine` in PyTorch, as the recipe `default` sets them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 200
LABEL_SMOOTHING = 0.1

MAPS, SCALE = 16, 20.0
INVERSE_CHANNELS, DECODER_CHANNELS, ATTENTION_GAIN = 8, 32, 4.0
AREA_TARGET, AREA_WEIGHT = 0.45, 0.5
CENTER_WEIGHT, CENTER_RATE = 1.0, 0.05
ZOOM_STD, GRADIENT_SCALE = 1.5, 0.01
# Side of the picture that the fine look samples from, as a multiple of the coarse look's.
SOURCE_SCALE = 2


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)


class Baseline(nn.Module):
    """A classifier as its library makes it."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.network = classifier(backbone)

    def loss(self, images: torch.Tensor, source: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self.network(images), labels)

    def predict(self, images: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return self.network(images).softmax(dim=1)


class Coarse2Fine(nn.Module):
    """Looks at the picture, maps what it attended to back to it, and looks again at a box around that region, sampled from a
    larger picture."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.backbone, channels, stride = features(backbone)
        scores = nn.Conv2d(channels, MAPS, 1, bias=False)
        self.attention = nn.Sequential(scores, nn.BatchNorm2d(MAPS, eps=1e-3), nn.ReLU())
        self.classifier = nn.Linear(MAPS * channels, CLASSES)
        self.inverse = InverseMapping(channels, stride)
        self.norms = add_fine_statistics(self.backbone, self.attention)
        self.register_buffer("centers", torch.zeros(CLASSES, MAPS * channels))

    def loss(self, images: torch.Tensor, source: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        coarse, fine, boxes, parts = self.forward(images, source)
        sides = boxes[:, 2:] - boxes[:, :2]
        area = ((sides[:, 0] * sides[:, 1]).mean() - AREA_TARGET).square()
        center = self.center_loss(parts, labels)
        return cross_entropy(coarse, labels) + cross_entropy(fine, labels) + CENTER_WEIGHT * center + AREA_WEIGHT * area

    def center_loss(self, parts: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The distance of part features (B, M * C) from their classes' centres, which then follow them."""
        away = parts - F.normalize(self.centers[labels], dim=1)
        self.centers[labels] += CENTER_RATE * away.detach()
        return away.square().sum() / len(parts)

    def predict(self, images: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        coarse, fine, _, _ = self.forward(images, source)
        return (coarse.softmax(dim=1) + fine.softmax(dim=1)) / 2

    def forward(self, images: torch.Tensor, source: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of the coarse and the fine look, the boxes (B, 4) in 0..1, and the coarse look's part features."""
        coarse, maps, attention, parts = self.look(images)
        boxes = boxes_of(self.inverse(maps, attention, images.shape[2:]))
        seen = boxes.detach() + GRADIENT_SCALE * (boxes - boxes.detach())
        with fine_statistics(self.norms):
            fine, *_ = self.look(sample_boxes(source, seen, images.shape[2:]))
        return coarse, fine, boxes, parts

    def look(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits (B, K), feature maps (B, C, h, w), attention maps (B, M, h, w) and part features (B, M * C) of length 1."""
        maps = self.backbone(images)
        attention = self.attention(maps)
        places = maps.shape[2] * maps.shape[3]
        raw = (attention.flatten(2) @ maps.flatten(2).transpose(1, 2) / places).flatten(1)
        parts = F.normalize(raw.sign() * (raw.abs() + 1e-12).sqrt(), dim=1)
        return self.classifier(SCALE * parts), maps, attention, parts


class InverseMapping(nn.Module):
    """From attended feature maps to the region map, through a decoder up to a quarter of the picture's resolution."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, INVERSE_CHANNELS, 1, bias=False)
        width, stages = MAPS * INVERSE_CHANNELS, []
        while stride > 4:
            conv = nn.Conv2d(width, DECODER_CHANNELS, 3, padding=1, bias=False)
            stages.append(nn.Sequential(conv, nn.BatchNorm2d(DECODER_CHANNELS), nn.ReLU()))
            width, stride = DECODER_CHANNELS, (stride + 1) // 2
        self.decoder = nn.ModuleList(stages)
        self.logit = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.logit.bias)
        self.attention_gain = nn.Parameter(torch.tensor([ATTENTION_GAIN]))

    def forward(self, maps: torch.Tensor, attention: torch.Tensor, size: torch.Size) -> torch.Tensor:
        # The projection of A_k . F is A_k times that of F.
        x = (attention.unsqueeze(2) * self.project(maps).unsqueeze(1)).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
        for stage in self.decoder:
            x = stage(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        logit = self.logit(x)
        mean_map = attention.mean(dim=1, keepdim=True)
        above = mean_map / (mean_map.mean(dim=(2, 3), keepdim=True) + 1e-6) - 1
        above = F.interpolate(above, size=logit.shape[2:], mode="bilinear", align_corners=False)
        logit = logit + self.attention_gain * above
        return F.interpolate(logit, size=size, mode="bilinear", align_corners=False).sigmoid()


def boxes_of(region: torch.Tensor) -> torch.Tensor:
    """x1, y1, x2, y2 (B, 4) in 0..1: mean and standard deviations of region maps (B, 1, H, W) along each axis."""
    density = region[:, 0] + 1e-6
    ends = []
    for axis in (1, 2):
        weights = density.sum(dim=axis)
        weights = weights / weights.sum(dim=1, keepdim=True)
        centres = (torch.arange(weights.shape[1]) + 0.5) / weights.shape[1]
        mean = (weights * centres).sum(dim=1)
        half = ZOOM_STD * (weights * (centres - mean[:, None]).square()).sum(dim=1).add(1e-12).sqrt()
        ends.append(((mean - half).clamp(0, 0.9), (mean + half).clamp(0.1, 1)))
    (x1, x2), (y1, y2) = ends
    return torch.stack([x1, y1, x2, y2], dim=1)


def sample_boxes(pictures: torch.Tensor, boxes: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """The boxes of pictures, sampled bilinearly at a size."""
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    zero = torch.zeros_like(x1)
    rows = [torch.stack([x2 - x1, zero, x1 + x2 - 1], dim=1), torch.stack([zero, y2 - y1, y1 + y2 - 1], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), [len(boxes), 3, *size], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def classifier(backbone: str) -> nn.Module:
    # Imported where they are needed: each of them occupies memory.
    if backbone == "resnet50":
        import torchvision

        return torchvision.models.resnet50(num_classes=CLASSES)
    import timm

    return timm.create_model(backbone, num_classes=CLASSES)


def features(backbone: str) -> tuple[nn.Module, int, int]:
    """A network from pictures to feature maps, their channels, and the pixels per cell."""
    if backbone == "resnet50":
        return nn.Sequential(*list(classifier(backbone).children())[:-2]), 2048, 32
    import timm

    network = timm.create_model(backbone, num_classes=0, global_pool="")
    return network, network.num_features, network.feature_info[-1]["reduction"]


def add_fine_statistics(*modules: nn.Module) -> list[nn.BatchNorm2d]:
    """Gives each BatchNorm a second set of running statistics."""
    norms = [norm for module in modules for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_buffer("fine_running_mean", norm.running_mean.clone())
        norm.register_buffer("fine_running_var", norm.running_var.clone())
    return norms


@contextmanager
def fine_statistics(norms: list[nn.BatchNorm2d]) -> Iterator[None]:
    """Within it, the layers use and update their second set."""
    swap_statistics(norms)
    try:
        yield
    finally:
        swap_statistics(norms)


def swap_statistics(norms: list[nn.BatchNorm2d]) -> None:
    for norm in norms:
        norm.running_mean, norm.fine_running_mean = norm.fine_running_mean, norm.running_mean
        norm.running_var, norm.fine_running_var = norm.fine_running_var, norm.running_var
