"""Every layer and loss as a plain function, with PyTorch's names and argument orders.

    import minidl.nn.functional as F
"""

from __future__ import annotations

from .. import ops
from ..ops import (
    adaptive_avg_pool2d,
    affine_grid,
    avg_pool2d,
    conv2d,
    conv_transpose2d,
    elu,
    flatten,
    gelu,
    grid_sample,
    leaky_relu,
    linear,
    max_pool2d,
    relu,
    silu,
    softplus,
    swish,
    tanh,
)  # fmt: skip
from ..ops.divergence import js_divergence, kl_div, symmetric_kl
from ..ops.dropout import drop_block, drop_path, dropout, dropout1d, dropout2d, mixout, vanilla_dropout
from ..ops.group_norm import group_norm, instance_norm, layer_norm
from ..ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    multi_margin_loss,
    nll_loss,
)
from ..ops.normalize import batch_norm
from ..ops.regression import epsilon_insensitive_loss, huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "adaptive_avg_pool2d", "affine_grid", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "conv2d", "conv_transpose2d", "cross_entropy", "drop_block", "drop_path",
    "dropout", "dropout1d", "dropout2d", "elu", "epsilon_insensitive_loss", "flatten", "gelu", "grid_sample",
    "group_norm", "huber_loss", "instance_norm", "js_divergence", "kl_div", "l1_loss", "layer_norm", "leaky_relu",
    "linear", "log_softmax", "max_pool2d", "mixout", "mse_loss", "multi_margin_loss", "nll_loss", "relu", "sigmoid",
    "silu", "smooth_l1_loss", "softmax", "softplus", "swish", "symmetric_kl", "tanh", "vanilla_dropout",
]  # fmt: skip


def sigmoid(x, beta: float = 1.0):
    """1 / (1 + exp(-beta x)), elementwise; beta is the notes' slope."""
    return ops.sigmoid(x if beta == 1 else x * beta)


def softmax(x, dim: int = -1):
    """exp(x) / sum(exp(x)) along the axis `dim`; without overflow."""
    return ops.softmax(x, dim)


def log_softmax(x, dim: int = -1):
    """x - log(sum(exp(x))) along the axis `dim`; without overflow."""
    return ops.log_softmax(x, dim)
