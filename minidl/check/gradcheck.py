"""Is this gradient right? Claimed derivatives beside differences, first and higher orders, with a diagnosis.

Large tensors are tried along random directions first: one direction tests all elements at once. Where one fails, and
for small tensors always, every element is looked at. The upstream gradient is random, because a gradient of ones cannot
see a wrong softmax or norm. Second order is first order once more, for the gradient as a function of the inputs and of
the upstream gradient. (The habit of random directions is that of HIPS/autograd's `check_grads`.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .. import random
from ..mode import enable_grad
from .compare import Comparison, Options, Outcome, signs
from .diagnose import VAGUE, diagnose
from .evidence import Evidence
from .numeric import Tolerance
from .obstacles import evaluate, look, rounded_off, vacuous
from .pair import Pair
from .report import Finding, Report, Result, Unfit
from .subject import Subject, TensorFunction, name_of, named_inputs
from .trace import Trace, culprit, cut, moving


def gradcheck(
    f: Callable, inputs, order: int = 2, *, params=None, rng: random.Rng = None, rtol: float = 1e-6,
    kinked_rtol: float = 1e-5, atol: float = 0.0, freeze: bool = False, elements: int = 16, limit: int = 512,
    raise_on_fail: bool = False,
) -> Report:  # fmt: skip
    """Compare the derivatives of f with central differences, in float64, up to this order.

        <u, f(x + h v) - f(x - h v)> / 2h  =  <grad_x <u, f(x)>, v>      for random u and v, and for v = every element

    f: a function of Tensors, or a Module, whose parameters are checked too; it may return a Tensor or several.
    inputs: a Tensor or array, or a tuple or dict of them (scalars () and any shape; both float dtypes). Those of a
        floating dtype are differentiated; everything else is passed on as it is.
    params: further leaves that f uses: a list, a dict by name, or a Module.
    rng: a Generator or a seed for u and v; the report names the seed.
    rtol, kinked_rtol: relative tolerances where f is smooth, and at or near a kink. atol: absolute, on top.
    freeze: give every evaluation the same random numbers from minidl's streams (see below).
    elements: tensors up to this size are checked element by element at first order. limit: up to this size they are
        searched whole for an error, larger ones in part.
    raise_on_fail: raise GradcheckError instead of returning a report that is False.

    All evaluations start from the same state, and afterwards parameters, buffers (running statistics) and random
    streams are as before. A function that is not the same twice (dropout in training mode) fails and is told why;
    freeze=True checks it for one draw instead.

    Returns a `Report`: true if all is right, false if something is wrong or if the check was vacuous (a gradient of
    zeros would have passed). Raises TypeError or ValueError for arguments that make no sense.
    Source: Griewank and Walther, "Evaluating Derivatives", 2nd ed. 2008.

    >>> import numpy as np, minidl
    >>> report = minidl.gradcheck(minidl.softmax, np.array([[0.1, 0.5, -0.3]]), rng=0)
    >>> bool(report), sorted(report.worst)
    (True, [1, 2])
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"order must be an integer >= 1, not {order!r}: 1 for the gradient, 2 for its derivative too")
    seed = _seed(rng)
    subject = TensorFunction(f, inputs, params, freeze)
    options = Options(Tolerance(rtol, kinked_rtol, atol), elements, limit)
    report = check(subject, order, options, np.random.default_rng(seed))
    first = f"{report.name}, {_arguments(getattr(f, 'forward', f), inputs)}, order={report.order or order}"
    report.call = _call(
        gradcheck, first, seed, params=params if params is None else _Name("..."), freeze=freeze, rtol=rtol,
        kinked_rtol=kinked_rtol, atol=atol, elements=elements, limit=limit,
    )  # fmt: skip
    return report.raise_if_failed() if raise_on_fail else report


def gradcheck_pair(
    forward: Callable | None, backward: Callable, inputs, *, reference: Callable | None = None,
    cache: bool | None = None, wrt: str | Sequence[str] | None = None, rng: random.Rng = None, rtol: float = 1e-6,
    kinked_rtol: float = 1e-5, atol: float = 0.0, elements: int = 16, limit: int = 512, raise_on_fail: bool = False,
) -> Report:  # fmt: skip
    """The same check for a pair of NumPy functions, such as a student writes.

    forward(*inputs) returns the output(s), or (output, cache).
    backward(dout, *inputs), or backward(dout, cache), returns the gradients of the floating inputs: a tuple in their
        order, or a dict by their names.
    reference: the right forward. If it is given, backward is compared with differences of the reference, so that a
        consistent but wrong pair does not pass; `forward` only makes the cache (None if there is none).
    cache: whether forward returns one, if that cannot be told from what it returns.
    wrt: the name of an input, or several: only these gradients are compared. Backward may return None for the others,
        or the gradients of these alone, in the order of the inputs.

    Whatever the two functions do or return (None, lists, an exception, another result at the second call) is a finding
    of the report. Only first order. Inputs, tolerances and the report are as for `gradcheck`. Raises TypeError without
    functions, ValueError if wrt names no floating input.
    Source: Griewank and Walther, "Evaluating Derivatives", 2nd ed. 2008.

    >>> import numpy as np
    >>> from minidl.check import gradcheck_pair
    >>> x, w = np.ones((2, 3)), np.arange(12.0).reshape(3, 4)
    >>> report = gradcheck_pair(lambda x, w: x @ w, lambda dout, x, w: (dout @ w.T, -x.T @ dout), (x, w), rng=0)
    >>> report["x"].verdict, report["w"].finding.key
    ('right', 'sign')
    """
    if not callable(backward) or not callable(reference or forward):
        raise TypeError("gradcheck_pair needs the functions forward (or reference, or both) and backward")
    seed = _seed(rng)
    subject = Pair(forward, backward, inputs, reference, cache, wrt)
    options = Options(Tolerance(rtol, kinked_rtol, atol), elements, limit)
    report = check(subject, 1, options, np.random.default_rng(seed))
    first = f"{'forward' if forward else None}, {report.name}, {_arguments(reference or forward, inputs)}"
    report.call = _call(
        gradcheck_pair, first, seed, reference=reference and _Name(name_of(reference, "reference")), cache=cache,
        wrt=wrt, rtol=rtol, kinked_rtol=kinked_rtol, atol=atol, elements=elements, limit=limit,
    )  # fmt: skip
    return report.raise_if_failed() if raise_on_fail else report


def _seed(rng: random.Rng) -> int:
    """A seed that the report can name."""
    if isinstance(rng, int | np.integer):
        return int(rng)
    return int(random.resolve(rng, "gradcheck").integers(2**31))


def _arguments(f: Callable, inputs) -> str:
    """The inputs as they are to be given again."""
    names = [name for name, _ in named_inputs(f, inputs)]
    if isinstance(inputs, dict):
        return f"{{{', '.join(f'{name!r}: {name}' for name in names)}}}"
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


class _Name(str):
    """A word that stands for itself in a call."""

    __repr__ = str.__str__


def _call(function: Callable, first: str, seed: int, **given) -> str:
    """The call that repeats a check, with every argument that is not the default."""
    usual = inspect.signature(function).parameters
    parts = [first, *(f"{k}={v!r}" for k, v in given.items() if v != usual[k].default), f"rng={seed}"]
    where = "minidl" if function is gradcheck else "minidl.check"
    return f"{where}.{function.__name__}({', '.join(parts)})"


def check(subject: Subject, order: int, options: Options, rng: np.random.Generator) -> Report:
    """The flow: each order in turn, as long as the one before it is right."""
    report = Report(subject.name)
    with np.errstate(all="ignore"), enable_grad(), subject.prepared():
        try:
            level, base = subject, evaluate(subject)
            upstream = [signs(out.shape, rng) for out in base]
            report.problems, seen = look(subject, base, upstream)
            for n in range(1, order + 1):
                report.results += _check_order(level, n, base, upstream, options, rng, seen)
                if not report.failed and not any(r.verdict == "right" for r in report.results):
                    report.problems += vacuous(report.results, *seen)
                if report.failed or report.problems or n == order:
                    break
                level = level.gradient(upstream)
                base = level.forward(level.values)
                upstream = [signs(out.shape, rng) for out in base]
        except Unfit as unfit:
            report.problems.append(unfit.finding)
            report.error = unfit.__cause__
    return report


def _check_order(
    subject: Subject, order: int, base: list, upstream: list, options: Options, rng: np.random.Generator, seen: tuple
) -> list[Result]:
    """Every tensor, and then an explanation for each that is wrong."""
    claims, outcomes = subject.vjp(subject.values, upstream), {}
    refused, judged = dict(subject.refused), subject.judged()
    comparisons = [
        Comparison(subject, k, order, _as_double(claim, subject.values[k]), base, upstream, options, rng)
        for k, claim in enumerate(claims)
    ]
    for k in judged:
        outcomes[k] = comparisons[k].outcome() if subject.names[k] not in refused else comparisons[k].not_tried()
    for k, outcome in outcomes.items():
        result, claim = outcome.result, claims[k]
        if subject.names[k] in refused:
            result.finding = refused[subject.names[k]]
        elif claim is not None and claim.dtype.kind != "f" and claim.any():
            result.verdict, result.finding = "wrong", _integers(claim)
        elif result.verdict == "wrong":
            evidence = _evidence(subject, k, comparisons, outcomes, base, upstream)
            evidence.absent = claim is None and isinstance(subject, Pair)
            result.finding = _closer(diagnose(evidence), subject, order, outcome.claimed, k, options, rng, *seen)
        elif claim is not None and claim.dtype.kind == "f" and claim.dtype.itemsize < 8:
            result.verdict, result.finding = "wrong", rounded_off(f"backward returns {claim.dtype} for a float64 input")
    right = [k for k in judged if outcomes[k].result.verdict == "right"]
    for k, finding in subject.unsteady(right, claims, upstream, options.tolerance.smooth, rng).items():
        outcomes[k].result.verdict, outcomes[k].result.finding = "wrong", finding
    return [outcomes[k].result for k in judged]


def _as_double(claim: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    return np.zeros(x.shape) if claim is None else np.asarray(claim, np.float64)


def _integers(claim: np.ndarray) -> Finding:
    return Finding(
        "dtype", f"backward returns {claim.dtype} for a float64 input: whatever follows the point is cut off",
        "an array made of integers (np.zeros_like of labels, dtype=int, astype(int)), or a mask in place of the "
        "gradient", "what the gradient starts as",
    )  # fmt: skip


def _evidence(
    subject: Subject, k: int, comparisons: list[Comparison], outcomes: dict[int, Outcome], base: list, upstream: list
) -> Evidence:
    """The numbers of tensor k, laid out for the diagnosis."""
    mine, part = outcomes[k], outcomes[k].places
    x, claimed = subject.values[k], mine.claimed
    if part is not None:
        x, claimed = x.ravel()[part], claimed.ravel()[part] if claimed.shape == x.shape else claimed
    numeric = np.full(x.shape, np.nan) if mine.numeric is None else mine.numeric

    def again(other: list) -> np.ndarray | None:
        try:
            g = subject.vjp(subject.values, other)[k]
        except Unfit:
            return None
        g = _as_double(g, subject.values[k])
        return g if part is None or g.shape != subject.values[k].shape else g.ravel()[part]

    others = {
        name: _gradient(comparison, outcomes.get(j))
        for j, (name, comparison) in enumerate(zip(subject.names, comparisons, strict=True))
        if j != k and comparison.x.shape == mine.claimed.shape and comparison.x.size <= comparison.options.limit
    }
    values = dict(zip(subject.names, subject.values, strict=True))
    wrong = np.ones(x.shape, bool) if mine.wrong is None else mine.wrong
    return Evidence(
        subject.names[k], x, claimed, numeric, wrong, upstream, base, again, values, others, subject.constants,
        whole=part is None, corners=mine.corners,
    )  # fmt: skip


def _gradient(comparison: Comparison, outcome: Outcome | None) -> np.ndarray:
    """The right gradient of another tensor: by simple differences if it was not judged."""
    if outcome is None:
        return comparison.gradient()
    return outcome.claimed if outcome.numeric is None else outcome.numeric


def _closer(
    finding: Finding, subject: Subject, order: int, claimed: np.ndarray, k: int, options: Options,
    rng: np.random.Generator, trace: Trace | None, leaves: list, outs: list,
) -> Finding:  # fmt: skip
    """Look inside f: is the graph cut, or is the rule of one operation to blame?"""
    if trace is None:
        return finding
    broken = cut(trace, leaves[k], outs) if order == 1 else None
    if broken and not claimed.any():
        return broken
    blame = culprit(trace, order, lambda subject, n: check(subject, n, options, rng), rng)
    if blame is None:
        return broken or (order == 1 and moving(subject, k, trace, outs)) or finding
    where, local = blame
    if finding.key in VAGUE and local.key != finding.key:  # said of the rule, not of the whole tensor
        rule, cause = where.split(" (", 1)[0], f"in that rule, {local.cause}"
        return replace(local, what=f"in {where}: {local.what}", cause=cause, hint=f"{rule}: {local.hint}")
    return replace(finding, hint=f"{where}: {finding.hint}")
