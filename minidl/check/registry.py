"""Every differentiable function of minidl with sample arguments: the table that `minidl gradcheck` and the tests walk.

    for case in CASES:
        f, arrays = case.problem(rng)
        report = gradcheck(f, arrays)

A public function that is missing here fails the tests.
"""

from __future__ import annotations

import numpy as np

import minidl

from . import oracles
from .case import CASES, Case, distinct, each, holes, integers, mask, normal, positive, probability, register

__all__ = ["CASES", "Case"]

# --- arithmetic ------------------------------------------------------------------------------------------------------

for _name, _f in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}.items():
    register(
        _name, _f, [normal(3, 4), positive(3, 4)], [normal(2, 1, 4), positive(3, 1)], [normal(), positive(2, 2)],
        [normal(2, 2), positive()], [normal(3), 2.5], [2, positive(3)],
    )  # fmt: skip
    register(_name, _f, [normal(0, 3), positive(3)], flat=True)
register("mul", np.multiply, [normal(3), np.array([2, 0, -1])])
register("pow", np.power, [positive(3, 4), normal(3, 4)], [positive(2, 1, 4), normal(3, 1)], [positive(3), normal()])
register("pow", np.power, *each([positive(3, 2)], 1, 3, -1, 0.5), *each([holes(3, 3)], 2, 3.0), [2.5, normal(3, 2)])
register("pow", np.power, [positive(3, 2), 0], flat=True)
for _name, _f in {"maximum": np.maximum, "minimum": np.minimum}.items():
    register(
        _name, _f, [distinct(3, 4), distinct(3, 4, shift=0.15)], [distinct(3, 4), distinct(4, shift=0.15)],
        [distinct(5), 0.0], kinked=True,
    )  # fmt: skip
register("where", np.where, [mask(3, 4), normal(3, 4), normal(4)], [mask(3, 1), normal(), normal(3, 4)])
register(
    "clip", lambda x, low, high: np.minimum(np.maximum(x, -9 if low is None else low), 9 if high is None else high),
    [distinct(3, 4), -0.6, 0.6], [distinct(3, 4), 0, None], [distinct(3, 4), None, 0.4], kinked=True,
)  # fmt: skip
register("abs", np.abs, [distinct(3, 4)], kinked=True)
register("floor_divide", np.floor_divide, [distinct(3, 4), distinct(3, 4, shift=0.137)], kinked=True, flat=True)
register("remainder", np.remainder, [distinct(3, 4), distinct(4, shift=0.137)], [distinct(3, 4), 0.73], kinked=True)
register("sign", np.sign, [distinct(3, 4)], kinked=True, flat=True)
register("neg", np.negative, [normal(3, 4)])
for _name in ("exp", "expm1", "sin", "cos", "tanh"):
    register(_name, getattr(np, _name), [normal(3, 4)], [normal()])
for _name in ("log", "log1p", "sqrt"):
    register(_name, getattr(np, _name), [positive(3, 4)], [positive()])

# --- activations -----------------------------------------------------------------------------------------------------

register("relu", lambda x: x * (x > 0), [distinct(3, 4)], kinked=True)
register("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, x * slope), [distinct(3, 4)], [distinct(3), 0.3],
    kinked=True)
register("sigmoid", lambda x: 1 / (1 + np.exp(-x)), [normal(3, 4)], [normal()])
register("softplus", lambda x, beta=1.0: np.log(1 + np.exp(beta * x)) / beta, [normal(3, 4)], [normal(3), 2.0])
register("silu", lambda x: x / (1 + np.exp(-x)), [normal(3, 4)])
register("swish", lambda x, beta=1.0: x / (1 + np.exp(-beta * x)), [normal(3)], [normal(3), 1.7],
    [normal(3, 4), positive()])
register(
    "elu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(x) - 1)), [distinct(3, 4)], [distinct(6), 0.5],
    kinked=True,
)  # fmt: skip
register("erf", oracles.erf, [normal(3, 4)], [normal()])
register("gelu", lambda x: x * (1 + oracles.erf(x / np.sqrt(2))) / 2, [normal(3, 4)])
register(
    "gelu", lambda x, _: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), [normal(3, 4), "tanh"]
)

# --- reductions ------------------------------------------------------------------------------------------------------

_AXES = ({"axis": None}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)})
register("sum", np.sum, *each([normal(2, 3, 4)], *_AXES), [normal()])
register("sum", np.sum, [normal(3, 0), 1], flat=True)
register("mean", np.mean, *each([normal(2, 3, 4)], *_AXES), [normal()])
for _name, _f in {"var": np.var, "std": np.std}.items():
    register(
        _name, lambda x, correction=1, f=_f, **k: f(x, ddof=correction, **k), *each([normal(2, 3, 4)], *_AXES),
        [normal(1, 4), {"axis": -1, "correction": 0}],
    )  # fmt: skip
for _name, _f in {"max": np.max, "min": np.min}.items():
    register(_name, _f, *each([distinct(2, 3, 4)], *_AXES), [distinct()], kinked=True)
register("prod", np.prod, *each([normal(2, 3, 4)], *_AXES), *each([holes(3, 3)], 0, 1), [holes(2, 2)], [normal(1)])
register("norm", np.linalg.norm, [normal(2, 3)], *each([normal(3, 4)], {"axis": 1}, {"axis": 0, "ord": 4}),
    [normal(5), 2.5])
register("norm", np.linalg.norm, [distinct(6), 1], [distinct(3, 4, shift=0.15), float("inf"), 0], kinked=True)
register("cumsum", np.cumsum, *each([normal(3, 4)], None, 0, -1))
register(
    "logsumexp", lambda x, **k: np.log(np.sum(np.exp(x), **k)), *each([normal(2, 3, 4)], *_AXES), [normal()]
)
register("softmax", oracles.softmax, [normal(3, 4)], [normal(2, 3, 4), 1], [normal(2, 3, 4), (0, 2)])
register("log_softmax", lambda x, axis=-1: np.log(oracles.softmax(x, axis)), [normal(3, 4)], [normal(2, 3, 4), 1])
register("standardize", oracles.standardize, [normal(4, 3), 0, 1e-5], [normal(4, 3), (1,), 0.1])

# --- shapes ----------------------------------------------------------------------------------------------------------

register("reshape", np.reshape, *each([normal(2, 3, 4)], (3, -1), (24,), (4, 1, 6)))
register("permute", np.transpose, *each([normal(2, 3, 4)], (2, 0, 1), (0, -1, 1)))
register("transpose", np.transpose, [normal(2, 3, 4)], [normal(2, 3, 4), (1, 2, 0)], [normal()])
register("swapaxes", np.swapaxes, [normal(2, 3, 4), 0, -1])
register("flatten", lambda x, start=0: x.reshape(*x.shape[:start], -1), [normal(2, 3, 4)], [normal(2, 3, 4), 1])
register("squeeze", np.squeeze, *each([normal(1, 3, 1)], None, 0, (0, -1)))
register("unsqueeze", np.expand_dims, *each([normal(2, 3)], 0, -1, 1))
register("broadcast_to", np.broadcast_to, *each([normal(2, 1)], (2, 4), (3, 2, 1)), [normal(), (2, 2)])
register(
    "expand", lambda x, shape: np.broadcast_to(x, (3, 2, 4)[-len(shape) :]), *each([normal(2, 1)], (-1, 4), (3, -1, 4))
)
register("tile", np.tile, *each([normal(2, 3, 2)], (2,), (2, 1, 3), (2, 1, 1, 2)))
register("flip", np.flip, *each([normal(2, 3, 4)], None, 1, (0, -1)))
register("roll", np.roll, [normal(3, 4), 2], [normal(3, 4), -1, 1], [normal(3, 4), (1, 2), (0, 1)])
register(
    "concat", lambda *x, axis=0: np.concatenate(x, axis), [normal(2, 3), normal(1, 3), normal(4, 3)],
    [normal(2, 1), normal(2, 0), normal(2, 3), {"axis": -1}], f=lambda *x, **k: minidl.concat(x, **k),
)  # fmt: skip
register(
    "stack", lambda *x, axis=0: np.stack(x, axis), *each([normal(2, 3)] * 3, {"axis": 0}, {"axis": 1}, {"axis": -1}),
    f=lambda *x, **k: minidl.stack(x, **k),
)  # fmt: skip
for _size, _cuts in ((2, [2, 4]), ((4, 1), [4])):  # the parts in the reverse order
    register(
        "split", lambda x, axis, cuts=_cuts: np.concatenate(np.split(x, cuts, axis)[::-1], axis), [normal(5, 3), 0],
        [normal(3, 5), -1], f=lambda x, axis, size=_size: minidl.concat(minidl.split(x, size, axis)[::-1], axis),
    )  # fmt: skip
register("Tensor.clone", np.copy, [normal(3, 4)], f=lambda x: x.clone() if isinstance(x, minidl.Tensor) else x.copy())
register("pad", lambda x, width, value=0.0: np.pad(x, width, constant_values=value), [normal(2, 3), 1],
         [normal(2, 3), ((0, 2), (1, 0)), 3.0])  # fmt: skip
register("getitem", lambda x, index: x[index], *each(
    [normal(4, 3)],
    1, -1, slice(None, None, -2), (..., None, 1), (), (slice(1, None), slice(None, None, 2)), [0, 2, 0, 0], (1, [0, 0]),
    np.array([[1, -1], [3, 1]]), ([0, 0, 3], [1, 1, 2]), (np.array([[0], [0]]), [1, 2]), (slice(None), [2, 2]),
    np.array([True, False, True, True]), np.eye(4, 3, dtype=bool), (np.array([True, False, True, False]), 1),
    (None, [1, 1], ..., np.int64(2)),
))  # fmt: skip
register("take_along_axis", np.take_along_axis, [normal(4, 3), integers(4, 6, 3), 0],
    [normal(4, 3), integers(3, 4, 1), -1])

# --- products --------------------------------------------------------------------------------------------------------

register(
    "matmul", np.matmul, [normal(3, 4), normal(4, 2)], [normal(4), normal(4)], [normal(3, 4), normal(4)],
    [normal(4), normal(4, 2)], [normal(2, 3, 4), normal(2, 4, 2)], [normal(3, 4), normal(2, 4, 2)],
    [normal(2, 1, 3, 2), normal(3, 2, 2)], [normal(2), normal(3, 2, 2)], [normal(3, 2, 2), normal(2)],
)  # fmt: skip
register("matmul", np.matmul, [normal(3, 0), normal(0, 2)], flat=True)
register(
    "linear", lambda x, w, b=0.0: x @ w.T + b, [normal(3, 4), normal(2, 4), normal(2)], [normal(3, 4), normal(2, 4)],
    [normal(4), normal(2, 4), normal(2)], [normal(2, 3, 4), normal(5, 4), normal(5)], [normal(1, 4), normal(1, 4)],
)  # fmt: skip
register("linear", lambda x, w: x @ w.T, [normal(0, 4), normal(2, 4)], flat=True)
register("tril", np.tril, *each([normal(2, 4, 3)], 0, 1, -1))
register("triu", np.triu, *each([normal(2, 4, 3)], 0, 1, -1))
register(
    "einsum", np.einsum, ["nk,km->nm", normal(3, 4), normal(4, 2)], ["bij,bjk->ik", normal(2, 3, 2), normal(2, 2, 3)],
    ["ij->ji", normal(2, 3)], ["ii->i", normal(3, 3)], ["ii", normal(3, 3)], ["iij,j->i", normal(2, 2, 3), normal(3)],
    ["ij,ij->", normal(2, 3), normal(2, 3)], ["...ij,...jk->...ik", normal(2, 2, 3), normal(2, 3, 2)],
    ["i,j", normal(2), normal(3)],
    ["...i->i...", normal(2, 3, 4)], ["ab,bc,cd->ad", normal(2, 3), normal(3, 2), normal(2, 2)],
    [",i->i", normal(), normal(3)],
    ["bhqd,bhkd->bhqk", normal(2, 1, 3, 2), normal(2, 1, 4, 2)], ["ij,k->j", normal(2, 3), normal(4)],
)  # fmt: skip

# --- images ----------------------------------------------------------------------------------------------------------

register(
    "conv2d", oracles.conv2d, [normal(2, 3, 5, 4), normal(2, 3, 3, 2), normal(2)],
    [normal(1, 2, 4, 4), normal(3, 2, 1, 1)],
    *each(
        [normal(2, 2, 6, 5), normal(2, 2, 3, 3), normal(2)],
        {"stride": 2, "padding": 1}, {"stride": (3, 2), "padding": (0, 2)}, {"dilation": 2, "padding": 2},
    ),
    [normal(1, 4, 5, 6), normal(4, 2, 2, 3), {"groups": 2, "dilation": (2, 1), "stride": 2}],
    [normal(2, 3, 4, 4), normal(6, 1, 3, 3), normal(6), {"groups": 3, "padding": 1}],
    [normal(1, 2, 3, 4), normal(2, 2, 5, 3), {"padding": "same"}],
)  # fmt: skip
register("conv2d", oracles.conv2d, [normal(0, 2, 4, 4), normal(3, 2, 3, 3)], flat=True)
register(
    "conv_transpose2d", oracles.conv_transpose2d, [normal(2, 3, 2, 3), normal(3, 2, 3, 2), normal(2)],
    *each(
        [normal(1, 2, 3, 2), normal(2, 2, 3, 3), normal(2)],
        {"stride": 2, "padding": 1, "output_padding": 1}, {"stride": (1, 3), "dilation": (2, 1)},
    ),
    [normal(2, 4, 2, 2), normal(4, 1, 3, 3), normal(2), {"groups": 2, "stride": 2}],
)  # fmt: skip
_POOLS = (
    {"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": (3, 2), "stride": (2, 1)},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": 1},
)  # fmt: skip
register("max_pool2d", oracles.max_pool2d, *each([distinct(2, 2, 5, 6)], *_POOLS, {"kernel_size": 2, "dilation": 2}),
    kinked=True)
register("avg_pool2d", oracles.avg_pool2d,
    *each([normal(2, 2, 5, 6)], *_POOLS, {**_POOLS[-1], "count_include_pad": False}))
register("adaptive_avg_pool2d", oracles.adaptive_avg_pool2d, *each([normal(2, 2, 5, 6)], 1, (2, 4), (5, 7)))

# --- layers and losses -----------------------------------------------------------------------------------------------

register("nn.functional.sigmoid", lambda x, beta: 1 / (1 + np.exp(-beta * x)), [normal(3, 4), 2.0])
register("nn.functional.softmax", oracles.softmax, [normal(3, 4), 0])
register("nn.functional.log_softmax", lambda x, dim: np.log(oracles.softmax(x, dim)), [normal(3, 4), 0])
register("nn.functional.dropout", lambda x, p, _, rng: x * oracles.kept(x, p, rng) / (1 - p),
    [normal(4, 5), 0.4, True, 3])
register(
    "nn.functional.vanilla_dropout", lambda x, p, training, rng: x * (oracles.kept(x, p, rng) if training else 1 - p),
    [normal(4, 5), 0.4, True, 3], [normal(4, 5), 0.4, False, 3],
)  # fmt: skip
register("nn.functional.dropout1d", lambda x, p, _, rng: x * oracles.kept(x[:, :, :1], p, rng) / (1 - p),
    [normal(3, 4, 2), 0.4, True, 3])
register("nn.functional.dropout2d", lambda x, p, _, rng: x * oracles.kept(x[:, :, :1, :1], p, rng) / (1 - p),
    [normal(2, 4, 3, 2), 0.4, True, 3])
register("nn.functional.drop_path", lambda x, p, _, rng: x * oracles.kept(x[:, :1], p, rng) / (1 - p),
    [normal(5, 3), 0.4, True, 3])
register("nn.functional.drop_block", oracles.drop_block, [normal(2, 3, 5, 6), 0.4, 3, True, 3],
    [normal(1, 4, 5, 4), 0.3, 2, True, 3])
register("nn.functional.mixout", oracles.mixout, [normal(3, 6), normal(3, 6), 0.4, True, 3],
    [normal(2, 6, 2, 2), normal(2, 6, 2, 2), 0.4, True, 3])
register(
    "nn.functional.batch_norm", oracles.batch_norm, *each(
        [normal(4, 3), None, None, normal(3), normal(3)], {"training": True}, {"training": True, "eps": 0.1}
    ),
    [normal(2, 3, 2, 2), None, None, normal(3), normal(3), True], [normal(2, 3, 4), None, None, None, None, True],
)  # fmt: skip
register(
    "nn.functional.batch_norm", oracles.batch_norm, [normal(4, 3), normal(3), positive(3), normal(3), normal(3)],
    [normal(2, 3, 2, 2), normal(3), positive(3)], constant=(1, 2),
)  # fmt: skip
_WEIGHT = np.array([0.5, 2.0, 1.0])
register(
    "nn.functional.cross_entropy", oracles.cross_entropy, *each(
        [normal(5, 3), integers(3, 5)], {"reduction": "mean"}, {"reduction": "sum"}, {"reduction": "none"},
        {"label_smoothing": 0.1, "weight": _WEIGHT}, {"ignore_index": 1},
    ),
    [normal(2, 3, 2), integers(3, 2, 2), {"weight": _WEIGHT}],
    [normal(2, 3, 2, 1), positive(2, 3, 2, 1), {"label_smoothing": 0.2}],
    [normal(1, 3), positive(1, 3), {"weight": _WEIGHT}],
)  # fmt: skip
register(
    "nn.functional.nll_loss", oracles.nll_loss, *each(
        [normal(5, 3), integers(3, 5)], {"reduction": "none"}, {"weight": _WEIGHT}, {"ignore_index": 1}
    ),
    [normal(2, 3, 2), integers(3, 2, 2), {"reduction": "sum"}],
)  # fmt: skip
register("nn.functional.binary_cross_entropy_with_logits", oracles.binary_cross_entropy_with_logits, *each(
    [normal(3, 4), probability(3, 4)], {"reduction": "mean"}, {"weight": np.array([1.0, 0.5, 2.0, 1.5])},
    {"reduction": "none", "pos_weight": np.array([1.0, 0.5, 2.0, 1.5])},
))  # fmt: skip
register("nn.functional.binary_cross_entropy", oracles.binary_cross_entropy, *each(
    [probability(3, 4), probability(3, 4)], {"reduction": "mean"}, {"reduction": "none"},
    {"reduction": "sum", "weight": np.array(2.0)},
), constant=(1,))  # fmt: skip
register("nn.functional.multi_margin_loss", oracles.multi_margin_loss, *each(
    [normal(4, 3), integers(3, 4)], {"p": 1}, {"p": 2, "reduction": "sum"},
    {"margin": 0.5, "weight": _WEIGHT},
), kinked=True)  # fmt: skip
for _name, _f, *_options in [
    ("mse_loss", lambda d: d**2, {}), ("l1_loss", np.abs, {}), ("huber_loss", oracles.huber, {}, {"delta": 0.5}),
    ("smooth_l1_loss", oracles.smooth_l1, {}, {"beta": 0.5}, {"beta": 0.0}),
]:  # fmt: skip
    register(
        f"nn.functional.{_name}", lambda x, y, reduction="mean", f=_f, **k: oracles.reduced(f(x - y, **k), reduction),
        *(
            [distinct(3, 4), distinct(3, 4, shift=0.13), how, *([k] if k else [])]
            for how in ("mean", "sum", "none") for k in _options
        ),
        kinked=_name != "mse_loss",
    )  # fmt: skip

from . import registry_norms, registry_sample  # noqa: E402, F401 - more rows
