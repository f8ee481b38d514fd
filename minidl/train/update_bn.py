"""Batch norm's running statistics, measured anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import random
from minidl.data import Dataset
from minidl.engine import Tensor
from minidl.mode import no_grad
from minidl.nn.norm import _BatchNorm

from .batches import as_loader, batches
from .fit import keep_modes

__all__ = ["update_bn"]


def update_bn(model: Any, data: Any, batch_size: int | None = None, rng: random.Rng = None) -> None:
    """Measure the running statistics of all batch norm layers anew, in one pass over data, for weights that were set.

        running_mean = 1/B sum_b mean_b,    running_var = 1/B sum_b var_b        over the batches b = 1, ..., B

    The plain averages over all batches, each counted once however large, with unbiased variances: what a layer with
    momentum=None computes. Averaged weights (SWA) make activations that no running statistics have seen, so the model
    is not usable before. The pass is one in train mode, dropout included, without gradients; modes and momenta are put
    back, and after an error the statistics too. A model without any is left alone, and the data is not read.

    model: a Module. data: as for `fit`, whose targets are not used (arrays are shuffled with `rng`, because a batch of
    one class has other statistics); or inputs x alone, as an array or Tensor.

    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), "Averaging weights leads to wider optima and better
    generalization", UAI, arXiv:1803.05407, section 3.2.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not layers:
        return
    if isinstance(data, np.ndarray | Tensor):
        data = Dataset(data, np.zeros(len(data), np.int64))  # targets that nobody looks at
    momenta = [layer.momentum for layer in layers]
    buffers = [b for layer in layers for b in (layer.running_mean, layer.running_var, layer.num_batches_tracked)]
    before = [b._array.copy() for b in buffers]
    with keep_modes(model), no_grad():
        model.train()
        try:
            for layer in layers:
                layer.momentum = None
                for buffer, start in ((layer.running_mean, 0), (layer.running_var, 1), (layer.num_batches_tracked, 0)):
                    buffer._writable()[...] = start
            for inputs, _, _ in batches(as_loader(data, batch_size, True, rng)):
                model(*inputs)
        except BaseException:  # half a pass is no measurement
            for buffer, array in zip(buffers, before, strict=True):
                buffer._writable()[...] = array
            raise
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
