"""The networks that the benchmarks train, each written once for any library that has PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BATCH = 64


@dataclass(frozen=True)
class Network:
    """make(nn) builds it. goal: the time of a training step, as a share of PyTorch's, that minidl is to stay below."""

    make: Callable
    shape: tuple[int, ...]
    classes: int
    goal: float
    lr: float  # three steps with it change the loss visibly, and rounding still does not
    activation: str | None = None  # of an MLP; the others are too long to be written without a library

    def batch(self, size: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
        """Random inputs (N, *shape) float32 and labels (N,)."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((size, *self.shape), np.float32), rng.integers(0, self.classes, size)


def tiny(nn):
    """The arithmetic is next to nothing: what is measured is what the library adds to it."""
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))


def mlp(nn):
    """The classic for MNIST."""
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet(nn):
    """LeCun et al. 1998, with ReLU and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def vgg(nn, size: int = 32):
    """Pairs of 3x3 convolutions with batch norm, after Simonyan and Zisserman 2015. Images (3, size, size)."""
    layers, channels = [], 3
    for width in (32, 32, "M", 64, 64, "M", 128, 128, "M"):
        if width == "M":
            layers += [nn.MaxPool2d(2)]
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * (size // 8) ** 2, 10))


def resnet8(nn):
    """Three residual blocks of 16, 32 and 64 channels, after He et al. 2016."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            projection = [nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)]
            self.shortcut = nn.Sequential(*(projection if stride > 1 else []))

        def forward(self, x):
            h = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(h)) + self.shortcut(x))

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NETWORKS = {
    "tiny": Network(tiny, (2,), 2, 0.65, 0.1, "tanh"),
    "mlp": Network(mlp, (784,), 10, 0.8, 0.1, "relu"),
    "lenet": Network(lenet, (1, 28, 28), 10, 0.55, 0.05),
    "vgg": Network(vgg, (3, 32, 32), 10, 0.95, 0.001),
    "resnet8": Network(resnet8, (3, 32, 32), 10, 1.0, 0.01),
}
INFERENCE_GOAL = 1.0
