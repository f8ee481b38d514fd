"""DropConnect: dropout of weights. A wrapper around any layer, whose forward runs with noisy weights in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .. import random
from ..engine import Tensor
from . import functional as F
from .dropout import Drop
from .module import Module
from .parameter import Parameter
from .regularize import weights
from .state import own_parameters


class WeightDrop(Drop):
    """Base of the layers that put noise on the weights of another: subclasses write `noisy`."""

    def __init__(self, layer: Module, p: float, rng: random.Rng = None) -> None:
        super().__init__(p, rng)
        self.add_module("layer", layer)
        name, what = type(self).__name__, type(layer).__name__
        if not list(weights(layer)):
            raise ValueError(f"{name}: {what} has no weights; wrap one that has, such as nn.Linear or nn.Conv2d")
        inside = [type(m).__name__ for m in layer.modules() if isinstance(m, WeightDrop)]
        if inside:
            raise ValueError(f"{name}: in {what} there is a {inside[0]} already; weights take one kind of noise")

    def forward(self, *inputs):
        if not self.training or self.p == 0:
            return self.layer(*inputs)
        noisy = {w: self.noisy(k, w) for k, w in enumerate(weights(self.layer))}
        with replaced(self.layer, noisy):
            return self.layer(*inputs)

    def noisy(self, k: int, w: Parameter) -> Tensor:
        """What stands in place of w, the weight number k of the layer, for this batch."""
        raise NotImplementedError


class DropConnect(WeightDrop):
    """Dropout of weights: in training each weight is zeroed with probability p, the others divided by 1 - p.

        out = layer(x; w * m / (1 - p)),  m ~ Bernoulli(1 - p)        so that E[w * m / (1 - p)] = w

    layer: any layer or model; dropped are all of `nn.weights(layer)`: no biases, none of norm layers. The masks are
    drawn anew for each batch, from `rng` or the stream "dropout" (the paper draws them for each sample, and at test
    time takes samples from a normal distribution; here evaluation is the layer itself). Gradients reach the weights
    themselves, which are those that are trained, penalised and saved, under "layer.weight". p = 0 changes nothing,
    p = 1 leaves the biases. ValueError unless 0 <= p <= 1 and there are weights.
    Source: Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of neural networks using DropConnect", ICML 2013.

    >>> import minidl
    >>> from minidl import nn
    >>> layer = nn.DropConnect(nn.Linear(4, 1, bias=False), p=0.5, rng=1)
    >>> _ = layer.layer.weight.fill_(1.0)
    >>> layer(minidl.ones(1, 4)).item(), layer.eval()(minidl.ones(1, 4)).item()
    (6.0, 4.0)
    """

    def __init__(self, layer: Module, p: float = 0.5, rng: random.Rng = None) -> None:
        super().__init__(layer, p, rng)

    def noisy(self, k: int, w: Parameter) -> Tensor:
        return F.dropout(w, self.p, True, self.rng)


@contextmanager
def replaced(module: Module, new: Mapping[Parameter, Tensor]) -> Iterator[None]:
    """Inside the block, module and all in it have these Tensors in place of their parameters.

    Written past `__setattr__`, which takes only Parameters; the parameters themselves are back afterwards.
    """
    places = [(m, name, w) for m in module.modules() for name, w in own_parameters(m) if w in new]
    try:
        for m, name, w in places:
            vars(m)[name] = new[w]
        yield
    finally:
        for m, name, w in places:
            vars(m)[name] = w
