"""The networks of c2f's methods `baseline` and `coarse2fine` in PyTorch, as the recipe `default` sets them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 200
LABEL_SMOOTHING = 0.1

MAPS, SCALE = 16, 20.0
INVERSE_CHANNELS, DECODER_CHANNELS, OPEN_BIAS = 8, 32, 2.0
AREA_TARGET, AREA_WEIGHT = 0.4, 0.05


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)


class Baseline(nn.Module):
    """A classifier as its library makes it."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.network = classifier(backbone)

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self.network(images), labels)

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images).softmax(dim=1)


class Coarse2Fine(nn.Module):
    """Looks at the picture, maps what it attended to back to the picture, and looks again at that region."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.backbone, channels, stride = features(backbone)
        scores = nn.Conv2d(channels, MAPS, 1, bias=False)
        self.attention = nn.Sequential(scores, nn.BatchNorm2d(MAPS, eps=1e-3), nn.ReLU())
        self.classifier = nn.Linear(MAPS * channels, CLASSES)
        self.inverse = InverseMapping(channels, stride)
        self.norms = add_fine_statistics(self.backbone, self.attention)

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        coarse, fine, region = self.forward(images)
        area = (region.flatten(1).mean(dim=1) - AREA_TARGET).square().mean()
        return cross_entropy(coarse, labels) + cross_entropy(fine, labels) + AREA_WEIGHT * area

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        coarse, fine, _ = self.forward(images)
        return (coarse.softmax(dim=1) + fine.softmax(dim=1)) / 2

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of the coarse and the fine look, and the region map (B, 1, H, W)."""
        coarse, maps, attention = self.look(images)
        region = self.inverse(maps, attention, images.shape[2:])
        with fine_statistics(self.norms):
            fine, _, _ = self.look(images * region)
        return coarse, fine, region

    def look(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (B, K), feature maps (B, C, h, w) and attention maps (B, M, h, w)."""
        maps = self.backbone(images)
        attention = self.attention(maps)
        places = maps.shape[2] * maps.shape[3]
        raw = (attention.flatten(2) @ maps.flatten(2).transpose(1, 2) / places).flatten(1)
        parts = F.normalize(raw.sign() * (raw.abs() + 1e-12).sqrt(), dim=1)
        return self.classifier(SCALE * parts), maps, attention


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
        nn.init.constant_(self.logit.bias, OPEN_BIAS)

    def forward(self, maps: torch.Tensor, attention: torch.Tensor, size: torch.Size) -> torch.Tensor:
        # The projection of A_k . F is A_k times that of F.
        x = (attention.unsqueeze(2) * self.project(maps).unsqueeze(1)).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
        for stage in self.decoder:
            x = stage(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        return F.interpolate(self.logit(x), size=size, mode="bilinear", align_corners=False).sigmoid()


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
