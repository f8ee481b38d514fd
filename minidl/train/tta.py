"""Test-time augmentation: predict from several views of every sample, and average."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl import random
from minidl.arrays import describe
from minidl.data import Dataset
from minidl.data.transforms import checked, name_of
from minidl.engine import Tensor
from minidl.mode import no_grad
from minidl.ops.reduce import softmax

from .batches import batches, in_order
from .fit import keep_modes

__all__ = ["predict_tta"]


def predict_tta(
    model: Any,
    data: Any,
    views: Sequence[Callable],
    average: str = "probabilities",
    weights: Sequence[float] | None = None,
    batch_size: int | None = None,
    rng: random.Rng = None,
) -> np.ndarray:
    """The mean over views of what a model says of each sample: p(x) = sum_v w_v softmax(model(view_v(x))).

    model: a Module from images to logits (N, K) or (N, K, ...), classes along axis 1; it runs in eval mode and without
    gradients, and its modes are put back. data: inputs x as an array or Tensor, or data as for `predict`.
    views: functions of a batch, view(x) -> x', or transforms, view(x, y, rng) -> (x', y), with the y None. A view that
    returns a list of arrays, as crops do, counts as so many. Ready lists: `augment.flip_views`, `augment.crop_views`,
    `augment.scale_views`. Only views that keep the class help; in maps (N, K, H, W) the answer would move with x.
    average: "probabilities", or "logits" for the mean of the outputs as they are, sum_v w_v model(view_v(x)), whose
    softmax is the geometric mean of the probabilities, scaled to sum to one. For other outputs, too, take "logits".
    weights: w, one for each array the views give; they are divided by their sum. None: all alike.
    rng: for transforms among the views; a Generator or seed, None for the stream "augment".

    Returns the mean, probabilities or outputs, (N, K, ...) in the dtype of the outputs. Raises ValueError if there is
    no view, or outputs or weights do not fit, TypeError for what is no view.

    Krizhevsky, Sutskever, Hinton (2012), "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS,
    section 4.1 (ten crops); Simonyan, Zisserman (2015), arXiv:1409.1556, sections 3.2 and 4.2 (scales)

    >>> from minidl import nn, train
    >>> from minidl.data import augment
    >>> model, x = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    >>> p, mirrored = (train.predict_tta(model, x, augment.flip_views()) for x in (x, x[..., ::-1]))
    >>> p.shape, np.array_equal(p, mirrored)  # the average no longer knows left from right
    ((4, 2), True)
    """
    if callable(views) or not (views := list(views)):
        raise ValueError(f"views is a list of functions x -> x', with at least one, not {views!r:.80}")
    if average not in ("probabilities", "logits"):
        raise ValueError(f"average is 'probabilities' or 'logits', not {average!r}")
    views, rng = list(map(checked, views)), random.resolve(rng, "augment")
    if isinstance(data, np.ndarray | Tensor):
        data = Dataset(data, np.zeros(len(data), np.int64))  # targets that nobody looks at
    means = []
    with keep_modes(model), no_grad():
        model.eval()
        for inputs, _, _ in batches(in_order(data, batch_size)):
            if len(inputs) != 1:
                raise ValueError(f"views are of one input, but a batch of this data has {len(inputs)} of them")
            scores = [model(Tensor(x)).numpy() for x in _seen(inputs[0].numpy(), views, rng)]
            if any(s.shape != scores[0].shape for s in scores):
                raise ValueError(f"outputs of different shapes, {sorted({s.shape for s in scores})}, have no mean; the "
                                 "model must give one shape for all sizes of views (pool over the whole image)")
            if average == "probabilities":
                scores = [softmax(_classes(s), 1) for s in scores]
            means.append(sum(w * s for w, s in zip(_shares(weights, len(scores)), scores, strict=True)))
    return np.concatenate(means)


def _seen(x: np.ndarray, views: Sequence[Callable], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """What each view, or each array of a view, makes of a batch; views get copies, for they may write into them."""
    for view in views:
        seen = view(x.copy(), None, rng)[0] if _is_transform(view) else view(x.copy())
        for array in seen if isinstance(seen, list | tuple) else [seen]:
            if not isinstance(array, np.ndarray) or len(array) != len(x):
                raise ValueError(f"the view {name_of(view)} made {describe(array)} of {describe(x)}; a view returns an "
                                 "array, or a list of arrays, with as many samples as it was given")
            yield array


def _is_transform(view: Callable) -> bool:
    """Must it be called with x, y and rng, and not with x alone?"""
    try:
        parameters = inspect.signature(view).parameters.values()
    except ValueError:  # some compiled functions do not tell
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [p for p in parameters if p.kind in positional]
    return len(taken) >= 3 and sum(p.default is p.empty for p in taken) >= 2


def _classes(scores: np.ndarray) -> np.ndarray:
    """Scores with at least two classes, for which a softmax makes sense."""
    if scores.ndim < 2 or scores.shape[1] < 2:
        raise ValueError(f"outputs {describe(scores)} are not scores of classes (N, K); take average='logits'")
    return scores


def _shares(weights: Sequence[float] | None, n: int) -> list[float]:
    """n weights that add up to one."""
    if weights is None:
        return [1.0 / n] * n
    values = [float(w) for w in weights]
    if len(values) != n or not min(values) >= 0 or not 0 < sum(values) < math.inf:
        raise ValueError(f"weights are {n} numbers >= 0, one for each array the views give, not {weights!r:.80}")
    return [w / sum(values) for w in values]
