"""Small models by name, for the command line, the lessons and the benchmarks.

All take the shape of one input (without the batch axis) and the number of classes, and return logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import nn


def mlp(shape: Sequence[int], classes: int, hidden: Sequence[int] = (128, 64), dropout: float = 0.0) -> nn.Sequential:
    """[affine -> ReLU (-> dropout)] x N -> affine, on flattened input.

    >>> import minidl
    >>> minidl.models.mlp((2,), 3)(minidl.zeros(5, 2)).shape
    (5, 3)
    """
    layers: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
    width = math.prod(shape)
    for n in hidden:
        layers += [nn.Linear(width, n), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        width = n
    return nn.Sequential(*layers, nn.Linear(width, classes))


def cnn(shape: Sequence[int], classes: int, width: int = 16, dropout: float = 0.3) -> nn.Sequential:
    """Three 3x3 convolutions with batch norm and two 2x2 poolings, then one affine layer.

    [conv -> norm -> ReLU] x 2 -> pool -> conv -> norm -> ReLU -> pool -> dropout -> affine: enough for 99 % on the
    8x8 digits. Needs images (C, H, W) of at least 4x4.
    """
    channels, height, breadth = _image(shape, "cnn", 4)
    return nn.Sequential(
        *_conv_norm_relu(channels, width),
        *_conv_norm_relu(width, width),
        nn.MaxPool2d(2),
        *_conv_norm_relu(width, 2 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * width * (height // 4) * (breadth // 4), classes),
    )


def lenet(shape: Sequence[int], classes: int) -> nn.Sequential:
    """LeNet-5 with ReLU and max pooling: two 5x5 convolutions, three affine layers. Needs images of at least 12x12.

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
    """
    channels, height, breadth = _image(shape, "lenet", 12)
    after = ((height // 2) - 4) // 2 * (((breadth // 2) - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * after, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )  # fmt: skip


def _conv_norm_relu(inputs: int, outputs: int) -> list[nn.Module]:
    # the norm's own offset makes the convolution's bias superfluous
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def _image(shape: Sequence[int], name: str, least: int) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < least:
        raise ValueError(f"{name} needs images (channels, height, width) from {least}x{least} up, not {tuple(shape)}")
    return tuple(shape)


MODELS = {"mlp": mlp, "cnn": cnn, "lenet": lenet}
