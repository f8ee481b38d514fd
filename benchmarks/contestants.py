"""The same training step in minidl, in PyTorch, in plain NumPy and in three small libraries that students meet.

A contestant has `step()`, a whole training step (forward, cross-entropy, backward, SGD with momentum 0.9) that returns
the loss, and `infer()`, the forward pass alone with nothing recorded. All start from the same weights.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable

import numpy as np
from networks import Network

MOMENTUM = 0.9


class Modules:
    """minidl and PyTorch have the same names: one text for both."""

    def __init__(self, library: str, network: Network, weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> None:
        self.library = importlib.import_module(library)
        nn, optim = (importlib.import_module(f"{library}.{part}") for part in ("nn", "optim"))
        self.model = network.make(nn)
        self.model.load_state_dict({name: self.library.tensor(array) for name, array in weights.items()})
        self.optimizer = optim.SGD(self.model.parameters(), lr=lr, momentum=MOMENTUM)
        self.criterion = nn.CrossEntropyLoss()
        self.x, self.y = self.library.tensor(x), self.library.tensor(y)

    def step(self):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def infer(self):
        with self.library.no_grad():
            return self.model(self.x)

    def evaluate(self) -> None:
        """From now on `infer` is meant: batch norm uses its running statistics."""
        self.model.eval()


class Layers:
    """What the others share: an MLP as a list of arrays."""

    def __init__(self, network: Network, weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> None:
        if network.activation is None:
            raise NotImplementedError
        self.activation, self.x, self.y, self.lr = network.activation, x, y, lr
        arrays = [array.copy() for array in weights.values()]  # weight (out, in), bias (out,), weight, ...
        self.set_up(list(zip(arrays[::2], arrays[1::2], strict=True)))

    def evaluate(self) -> None:
        """An MLP infers as it trains."""


class NumPy(Layers):
    """No library at all: what the arithmetic costs, and so the least that an engine on NumPy can need."""

    def set_up(self, layers):
        self.layers, self.rows = layers, np.arange(len(self.y))
        self.velocities = [[np.zeros_like(array) for array in layer] for layer in layers]

    def values(self):
        """The input of every layer, and the logits."""
        values = [self.x]
        for weight, bias in self.layers:
            h = values[-1] @ weight.T
            h += bias
            if len(values) < len(self.layers):
                h = np.tanh(h, out=h) if self.activation == "tanh" else np.maximum(h, 0, out=h)
            values.append(h)
        return values

    def infer(self):
        return self.values()[-1]

    def step(self):
        *inputs, logits = self.values()
        logits -= logits.max(axis=1, keepdims=True)
        g = np.exp(logits)
        total = g.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - logits[self.rows, self.y]).mean()
        g /= total
        g[self.rows, self.y] -= 1
        g /= len(g)
        for k in reversed(range(len(inputs))):
            x, (weight, bias) = inputs[k], self.layers[k]
            gradients = g.T @ x, g.sum(axis=0)
            if k:
                g = g @ weight
                g *= 1 - x * x if self.activation == "tanh" else x > 0
            for w, v, gradient in zip((weight, bias), self.velocities[k], gradients, strict=True):
                v *= MOMENTUM
                v += gradient
                w -= self.lr * v
        return loss


class MyGrad(Layers):
    """MyGrad: Soklaski, "MyGrad: drop-in automatic differentiation for NumPy"."""

    def set_up(self, layers):
        import mygrad
        from mygrad.nnet import activations, losses

        self.library, self.loss = mygrad, losses.softmax_crossentropy
        self.act = mygrad.tanh if self.activation == "tanh" else activations.relu
        self.x = mygrad.tensor(self.x, constant=True)
        self.layers = [tuple(map(mygrad.tensor, layer)) for layer in layers]
        self.parameters = [(p, np.zeros_like(p.data)) for layer in self.layers for p in layer]

    def forward(self):
        h = self.x
        for weight, bias in self.layers[:-1]:
            h = self.act(h @ weight.T + bias)
        weight, bias = self.layers[-1]
        return h @ weight.T + bias

    def infer(self):
        with self.library.no_autodiff:
            return self.forward()

    def step(self):
        loss = self.loss(self.forward(), self.y)
        loss.backward()
        for p, v in self.parameters:
            v *= MOMENTUM
            v += p.grad
            p.data -= self.lr * v
        return loss


class Autograd(Layers):
    """HIPS autograd: Maclaurin, Duvenaud and Adams 2015."""

    def set_up(self, layers):
        import autograd
        import autograd.numpy

        self.np = autograd.numpy
        self.act = self.np.tanh if self.activation == "tanh" else lambda h: self.np.maximum(h, 0)
        self.layers, self.targets = layers, np.eye(len(layers[-1][1]), dtype=self.x.dtype)[self.y]
        self.velocities = [[np.zeros_like(array) for array in layer] for layer in layers]
        self.derivative = autograd.value_and_grad(self.loss)

    def forward(self, layers):
        h = self.x
        for weight, bias in layers[:-1]:
            h = self.act(self.np.dot(h, weight.T) + bias)
        weight, bias = layers[-1]
        return self.np.dot(h, weight.T) + bias

    def loss(self, layers):
        logits = self.forward(layers)
        logits = logits - self.np.max(logits, axis=1, keepdims=True)
        logs = logits - self.np.log(self.np.sum(self.np.exp(logits), axis=1, keepdims=True))
        return -self.np.sum(logs * self.targets) / len(self.targets)

    def infer(self):
        return self.forward(self.layers)

    def step(self):
        loss, gradients = self.derivative(self.layers)
        for layer, velocities, gradient in zip(self.layers, self.velocities, gradients, strict=True):
            for w, v, g in zip(layer, velocities, gradient, strict=True):
                v *= MOMENTUM
                v += g
                w -= self.lr * v
        return loss


class DeZero(Layers):
    """DeZero: Saito, "Deep Learning from Scratch 3", 2020."""

    def set_up(self, layers):
        dezero = load("dezero")
        from dezero import functions, models, optimizers

        act = functions.tanh if self.activation == "tanh" else functions.relu
        self.library, self.cross_entropy = dezero, functions.softmax_cross_entropy
        self.model = models.MLP([len(bias) for _, bias in layers], activation=act)
        self.optimizer = optimizers.MomentumSGD(self.lr, MOMENTUM).setup(self.model)
        for layer, (weight, bias) in zip(self.model.layers, layers, strict=True):
            layer.W.data, layer.b.data = np.ascontiguousarray(weight.T), bias

    def infer(self):
        with self.library.no_grad():
            return self.model(self.x)

    def step(self):
        self.model.cleargrads()
        loss = self.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.update()
        return loss


CONTESTANTS: dict[str, Callable] = {
    "torch": lambda *args: Modules("torch", *args),
    "numpy": NumPy,
    "mygrad": MyGrad,
    "autograd": Autograd,
    "dezero": DeZero,
}


def load(name: str):
    """The module of that name."""
    if name == "dezero":
        vars(np).setdefault("int", int)  # DeZero 0.0.13 was written for NumPy before 1.24, which had that name
    return importlib.import_module(name)


def missing(names: Iterable[str]) -> dict[str, str]:
    """Those of the contestants that cannot be imported here, and why."""
    reasons = {}
    for name in names:
        try:
            load(name)
        except ImportError as error:
            reasons[name] = f"not installed ({error})"
        except Exception as error:  # an old library under a new NumPy may break in any way
            reasons[name] = f"breaks with NumPy {np.__version__} ({str(error).splitlines()[0]})"
    return reasons


def contestants(network: Network, names: Iterable[str], lr: float) -> dict:
    """minidl and the others that can do this network, all with minidl's initial weights and the same batch."""
    from minidl import manual_seed, nn

    manual_seed(0)
    x, y = network.batch()
    weights = {name: np.array(value) for name, value in network.make(nn).state_dict().items()}
    found = {"minidl": Modules("minidl", network, weights, x, y, lr)}
    for name in names:
        try:
            found[name] = CONTESTANTS[name](network, weights, x, y, lr)
        except NotImplementedError:
            pass
    return found


def check_equal(found: dict, tolerance: float = 1e-4) -> None:
    """The losses of three training steps, and the logits after them, agree with minidl's; or the program ends here.

    Three steps see a wrong gradient, update or momentum as well as a wrong forward pass.
    """
    results = {}
    for name, contestant in found.items():
        losses = [_array(contestant.step()) for _ in range(3)]
        contestant.evaluate()
        results[name] = np.append(_array(contestant.infer()), losses)
    for name, result in results.items():
        error = np.max(np.abs(result - results["minidl"]) / np.maximum(1, np.abs(results["minidl"])))
        if not error <= tolerance:
            raise SystemExit(f"{name} computes something else than minidl (relative error {error:.1e}): no comparison")


def _array(result):
    return np.asarray(result.data)  # a tensor of any of the libraries, or of NumPy itself
