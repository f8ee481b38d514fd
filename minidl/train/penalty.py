"""Penalties on the weights, as a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from minidl import nn
from minidl.arrays import describe
from minidl.engine import Tensor

from .callbacks import Callback

if TYPE_CHECKING:
    from .run import Run

__all__ = ["Penalty"]
Chosen = Iterable[Tensor] | Callable[[nn.Module], Iterable[Tensor]] | None


class Penalty(Callback):
    """Add a penalty on the weights to the loss of every batch: L1, L2 or both, or the elastic net.

        L(w) + l1/n sum |w| + l2/(2n) sum w^2 + lambda/n sum (beta w^2 + |w|),    elastic = (lambda, beta)

    The factors are those of `nn.penalty`; l2 with n = 1 and plain SGD is the optimiser's `weight_decay`. (The optimiser
    can decouple its decay from the gradient, as AdamW does; a penalty is part of the loss and goes through the
    optimiser's scaling.) parameters: what is penalised, a list, or a function of the model; None: `nn.weights(model)`,
    no biases and no norm layers. The history shows the penalty in a column of its own; "loss" is without it.

    Raises ValueError for a strength that is negative or not finite, and where no strength is given.

    Goodfellow, Bengio, Courville (2016), "Deep Learning", section 7.1; Tibshirani (1996), Journal of the Royal
    Statistical Society B 58, for L1; Hoerl and Kennard (1970), Technometrics 12, for L2; Zou and Hastie (2005), Journal
    of the Royal Statistical Society B 67, for the elastic net.

    >>> import numpy as np
    >>> from minidl import nn, optim, train
    >>> model = nn.Linear(1, 1, bias=False)
    >>> x = np.linspace(-1, 1, 9, dtype=np.float32).reshape(9, 1)
    >>> history = train.fit(model, (x, 3 * x), loss=nn.MSELoss(), optimizer=optim.SGD(model.parameters(), lr=0.5),
    ...                     epochs=60, callbacks=[train.Penalty(l2=0.5)], progress=False)
    >>> round(model.weight.item(), 3)  # the loss alone has its minimum at 3 and the curvature 2 mean(x^2) = 5/6
    1.875
    """

    def __init__(
        self,
        l1: float = 0.0,
        l2: float = 0.0,
        elastic: tuple[float, float] | None = None,
        parameters: Chosen = None,
        n: int = 1,
    ) -> None:
        if not (l1 or l2 or elastic is not None):
            raise ValueError("Penalty: give at least one strength, such as Penalty(l2=1e-4)")
        self.options = {"l1": l1, "l2": l2, "elastic": elastic, "n": n}
        nn.penalty([Tensor(0.0)], **self.options)  # complains here, and not in the first batch
        self.parameters = kept(parameters, "Penalty")

    def on_loss(self, run: Run) -> Tensor:
        return nn.penalty(chosen(self.parameters, run.model), **self.options)


def kept(parameters: Chosen, owner: str) -> Chosen:
    """A list of Tensors that can be walked in every batch; a function of the model and None stay as they are."""
    if parameters is None or callable(parameters) and not isinstance(parameters, nn.Module | Tensor):
        return parameters
    if isinstance(parameters, nn.Module | Tensor | str) or not isinstance(parameters, Iterable):
        raise TypeError(f"{owner}: parameters is a list of Tensors, or a function of the model such as lambda m: "
                        f"[m[0].weight], not {describe(parameters)}")
    return list(parameters)


def chosen(parameters: Chosen, model: nn.Module) -> list[Tensor]:
    """The parameters that are meant: those given, those a function finds in the model, or all weights."""
    if parameters is None:
        return list(nn.weights(model))
    return list(parameters(model)) if callable(parameters) else parameters
