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


def vgg(
    shape: Sequence[int],
    classes: int,
    config: Sequence[int | str] = (32, 32, "M", 64, 64, "M"),
    hidden: Sequence[int] = (128,),
    norm: str | None = "batch",
    dropout: float = 0.0,
) -> nn.Sequential:
    """INPUT -> [[CONV -> RELU] x N -> POOL?] x M -> [FC -> RELU] x K -> FC, the general pattern of a convolutional net.

    config: a number is a 3x3 convolution with so many channels (then norm and ReLU), "M" a 2x2 max pooling. hidden: the
    widths of the K affine layers before the last one, each with dropout behind it if `dropout` is not 0. norm: "batch",
    "group" or None. Needs images (C, H, W) that the poolings leave something of.
    Source: Simonyan and Zisserman, "Very deep convolutional networks", arXiv:1409.1556, 2015.

    >>> import minidl
    >>> model = minidl.models.vgg((1, 8, 8), 10, config=(8, "M", 16, "M"), hidden=())
    >>> model(minidl.zeros(5, 1, 8, 8)).shape
    (5, 10)
    """
    pools = sum(item == "M" for item in config)
    channels, height, breadth = _image(shape, "vgg", 2**pools)
    layers: list[nn.Module] = []
    for item in config:
        layers += [nn.MaxPool2d(2)] if item == "M" else _conv_norm_relu(channels, item, norm=norm)
        channels = channels if item == "M" else item
    flat = (channels, height // 2**pools, breadth // 2**pools)
    return nn.Sequential(*layers, *mlp(flat, classes, hidden, dropout))


def resnet(
    shape: Sequence[int],
    classes: int,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int = 1,
    drop_path: float = 0.0,
    norm: str | None = "batch",
    zero_init: bool = False,
) -> nn.Sequential:
    """Residual network: a 3x3 convolution, `blocks` residual blocks for each width, mean over places, affine layer.

    A block is ReLU(shortcut(x) + conv -> norm -> ReLU -> conv -> norm). The first block of every width but the first
    halves the image (stride 2), and where a block changes the shape its shortcut is a strided 1x1 convolution and norm.
    The default is ResNet-8; blocks=3 is the ResNet-20 of the paper (whose shortcuts for small images pad with zeros).
    norm: "batch", "group" (up to 8 groups) or None. drop_path: the rate of the last block, those before it by the
    linear rule of `nn.linear_depth`. zero_init: the last layer of every body starts at zero, and so every block as its
    shortcut. Needs images (C, H, W) that the strides leave something of.
    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv:1512.03385, 2016; Goyal et al.,
    "Accurate, large minibatch SGD", arXiv:1706.02677, 2017, for zero_init.

    >>> import minidl
    >>> model = minidl.models.resnet((3, 32, 32), 10)
    >>> sum(p.size for p in model.parameters())
    78042
    """
    if not widths or blocks < 1:
        raise ValueError(f"resnet needs a width for each stage and blocks >= 1, not {widths=} and {blocks=}")
    channels, _, _ = _image(shape, "resnet", 2 ** (len(widths) - 1))
    width = widths[0]
    stages = {"stem": nn.Sequential(*_conv_norm_relu(channels, width, norm=norm))}
    rates = iter(nn.linear_depth(drop_path, len(widths) * blocks))
    for k, outputs in enumerate(widths):
        stage = nn.Sequential()
        for block in range(blocks):
            stage.append(_block(width, outputs, 2 if k and not block else 1, next(rates), norm, zero_init))
            width = outputs
        stages[f"stage{k + 1}"] = stage
    head = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "out": nn.Linear(width, classes)}
    return nn.Sequential(stages | head)


def _block(inputs: int, outputs: int, stride: int, drop_path: float, norm: str | None, zero_init: bool) -> nn.Residual:
    *second, _ = _conv_norm_relu(outputs, outputs, norm=norm)
    body = nn.Sequential(*_conv_norm_relu(inputs, outputs, stride, norm), *second)
    for parameter in body[-1].parameters() if zero_init else ():
        nn.init.zeros_(parameter)
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), *_norm(norm, outputs))
    return nn.Residual(body, shortcut, drop_path, nn.ReLU())


def _conv_norm_relu(inputs: int, outputs: int, stride: int = 1, norm: str | None = "batch") -> list[nn.Module]:
    # the norm's own offset makes the convolution's bias superfluous
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=norm is None), *_norm(norm, outputs), nn.ReLU()]


def _norm(norm: str | None, channels: int) -> list[nn.Module]:
    if norm not in ("batch", "group", None):
        raise ValueError(f"norm must be 'batch', 'group' or None, not {norm!r}")
    if norm == "group":
        return [nn.GroupNorm(math.gcd(8, channels), channels)]
    return [nn.BatchNorm2d(channels)] if norm else []


def _image(shape: Sequence[int], name: str, least: int) -> tuple[int, int, int]:
    if not isinstance(shape, Sequence) or len(shape) != 3 or min(shape[1:]) < least:
        raise ValueError(f"{name} needs images (channels, height, width) from {least}x{least} up, not {shape!r}")
    return tuple(shape)


MODELS = {"mlp": mlp, "cnn": cnn, "lenet": lenet, "resnet": resnet, "vgg": vgg}
