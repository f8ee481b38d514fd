"""Is this gradient right? Claimed derivatives beside differences, first and higher orders, with a diagnosis.

Large tensors are tried along random directions first: one direction tests all elements at once. Where one fails, and
for small tensors always, every element is looked at. The upstream gradient is random, because a gradient of ones cannot
see a wrong softmax or norm. Second order is first order once more, for the gradient as a function of the inputs and of
the upstream gradient. (The habit of random directions is that of HIPS/autograd's `check_grads`.)
"""

from __future__ import annotations

from collections.abc import Callable
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
from .subject import Subject, TensorFunction
from .trace import Trace, culprit, cut


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
    names = [name for name in subject.names if name not in subject.params]
    extras = [f"order={report.order or order}", *["params=..."] * (params is not None), *["freeze=True"] * freeze]
    report.call = f"minidl.gradcheck({report.name}, {_tuple(names)}, {', '.join(extras)}, rng={seed})"
    return report.raise_if_failed() if raise_on_fail else report


def gradcheck_pair(
    forward: Callable | None, backward: Callable, inputs, *, reference: Callable | None = None,
    cache: bool | None = None, rng: random.Rng = None, rtol: float = 1e-6, kinked_rtol: float = 1e-5, atol: float = 0.0,
    elements: int = 16, limit: int = 512, raise_on_fail: bool = False,
) -> Report:  # fmt: skip
    """The same check for a pair of NumPy functions, such as a student writes.

    forward(*inputs) returns the output(s), or (output, cache).
    backward(dout, *inputs), or backward(dout, cache), returns the gradients of the floating inputs: a tuple in their
        order, or a dict by their names.
    reference: the right forward. If it is given, backward is compared with differences of the reference, so that a
        consistent but wrong pair does not pass; `forward` only makes the cache (None if there is none).
    cache: whether forward returns one, if that cannot be told from what it returns.

    Only first order. Inputs, tolerances and the report are as for `gradcheck`. Raises TypeError without functions.
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
    subject = Pair(forward, backward, inputs, reference, cache)
    options = Options(Tolerance(rtol, kinked_rtol, atol), elements, limit)
    report = check(subject, 1, options, np.random.default_rng(seed))
    report.call = f"minidl.check.gradcheck_pair(forward, {report.name}, {_tuple(subject.inputs)}, rng={seed})"
    return report.raise_if_failed() if raise_on_fail else report


def _seed(rng: random.Rng) -> int:
    """A seed that the report can name."""
    if isinstance(rng, int | np.integer):
        return int(rng)
    return int(random.resolve(rng, "gradcheck").integers(2**31))


def _tuple(names) -> str:
    return names[0] if len(names := list(names)) == 1 else f"({', '.join(names)})"


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
    outcomes, claims = [], subject.vjp(subject.values, upstream)
    for k, claim in enumerate(claims):
        claim = np.zeros(subject.values[k].shape) if claim is None else np.asarray(claim, np.float64)
        outcomes.append(Comparison(subject, k, order, claim, base, upstream, options, rng).outcome())
    for k, (outcome, claim) in enumerate(zip(outcomes, claims, strict=True)):
        result = outcome.result
        if result.verdict == "wrong":
            evidence = _evidence(subject, k, outcomes, base, upstream)
            evidence.absent = claim is None and isinstance(subject, Pair)
            result.finding = _closer(diagnose(evidence), order, outcome.claimed, k, options, rng, *seen)
        elif claim is not None and claim.dtype.kind == "f" and claim.dtype.itemsize < 8:
            result.verdict, result.finding = "wrong", rounded_off(f"backward returns {claim.dtype} for a float64 input")
    return [outcome.result for outcome in outcomes]


def _evidence(subject: Subject, k: int, outcomes: list[Outcome], base: list, upstream: list) -> Evidence:
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
        g = np.zeros(mine.claimed.shape) if g is None else np.asarray(g, np.float64)
        return g if part is None else g.ravel()[part]

    others = {o.result.name: o.claimed if o.numeric is None else o.numeric for o in outcomes if o is not mine}
    values = dict(zip(subject.names, subject.values, strict=True))
    wrong = np.ones(x.shape, bool) if mine.wrong is None else mine.wrong
    return Evidence(
        subject.names[k], x, claimed, numeric, wrong, upstream, base, again, values, others, subject.constants,
        whole=part is None,
    )  # fmt: skip


def _closer(
    finding: Finding, order: int, claimed: np.ndarray, k: int, options: Options, rng: np.random.Generator,
    trace: Trace | None, leaves: list, outs: list,
) -> Finding:  # fmt: skip
    """Look inside f: is the graph cut, or is the rule of one operation to blame?"""
    if trace is None:
        return finding
    broken = cut(trace, leaves[k], outs) if order == 1 else None
    if broken and not claimed.any():
        return broken
    blame = culprit(trace, order, lambda subject, n: check(subject, n, options, rng), rng)
    if blame is None:
        return broken or finding
    where, local = blame
    if finding.key in VAGUE and local:
        finding = local
    return replace(finding, hint=f"{where}: {finding.hint}")
