"""What stands in the way of a check: a function that is random, not finite, in single precision, or writes into its
inputs. All of it is looked for before the first difference is trusted.
"""

from __future__ import annotations

import numpy as np

from .. import random
from ..anomaly import AnomalyError, detect_anomaly
from .numeric import STEP, single_precision, sizes
from .pair import Pair
from .report import Finding, Result, Unfit
from .subject import Subject, overwrites
from .trace import Trace, cut, observe


def evaluate(subject: Subject) -> list[np.ndarray]:
    """The outputs, after making sure that they are finite and the same twice."""
    before = random.get_state()["streams"]
    base, after = subject.forward(subject.values), random.get_state()["streams"]
    if not all(np.isfinite(out).all() for out in base):
        raise Unfit(_not_finite(subject, base))
    for a, b in zip(base, subject.forward(subject.values), strict=True):
        if a.shape != b.shape or np.abs(a - b).max(initial=0.0) > 1e-12 * np.abs(a).max(initial=0.0):
            raise Unfit(_changing(sorted(name for name in after if after[name] != before.get(name))))
    return base


def _not_finite(subject: Subject, base: list) -> Finding:
    where = "minidl.detect_anomaly() names the operation"
    try:
        with detect_anomaly():
            subject.forward(subject.values)
    except Unfit as unfit:
        if isinstance(unfit.__cause__, AnomalyError):
            where = str(unfit.__cause__).replace("\n", "; ")
    kind = "NaN" if any(np.isnan(out).any() for out in base) else "infinity"
    return Finding(
        "not_finite", f"the result holds {kind} already before anything is differentiated",
        "inputs outside of the domain of the function (log, sqrt, a division), or an overflow", where,
    )  # fmt: skip


def _changing(streams: list[str]) -> Finding:
    what = "the function is not the same twice: two evaluations with the same inputs differ"
    if streams:
        return Finding(
            "random", f"{what}; minidl's random stream {', '.join(map(repr, streams))} moved",
            "random numbers are drawn inside, as dropout does in training mode",
            "model.eval(); rng=0 for a function; or freeze=True, which repeats the same draw in every evaluation",
        )  # fmt: skip
    return Finding(
        "random", f"{what}; no random stream of minidl moved",
        "it draws from a Generator of its own, or keeps something from call to call: a counter, a mean, a cache",
        "give it a fixed seed, or make it a function of its inputs alone",
    )  # fmt: skip


def look(subject: Subject, base: list, upstream: list) -> tuple[list[Finding], tuple]:
    """One watched evaluation: what is wrong besides the numbers, and (trace, leaves, outputs) of Tensors."""
    moved = [x + STEP * sizes(x) for x in subject.values]
    rounded, where = single_precision(subject.forward(moved), base), ""
    if isinstance(subject, Pair):
        subject.vjp(subject.values, upstream)
        found, seen = subject.overwritten, (None, [], [])
    else:
        seen = trace, leaves, _ = observe(subject, upstream)
        triples = zip(subject.names, leaves, subject.values, strict=True)
        found = [overwrites("f", f"its input '{name}'") for name, t, x in triples if (t._array != x).any()]
        if trace.overwriter():
            found.append(overwrites(f"the rule of `{trace.overwriter()}`", "the upstream gradient it is given"))
        if trace.float32():
            rounded, where = True, str(trace.float32())
    if rounded:
        raise Unfit(rounded_off("the inputs are float64, the values have the digits of float32", where))
    return found, seen


def rounded_off(what: str, where: str = "") -> Finding:
    return Finding(
        "precision", f"single precision inside: {what}", "a cast to float32 (astype, .float(), np.float32, a buffer)",
        where or "every dtype on the way; through float32 no derivative can be checked to 1e-6",
    )  # fmt: skip


def vacuous(results: list[Result], trace: Trace | None, leaves: list, outs: list) -> list[Finding]:
    """A check that could not have failed; and where the graph is cut, if that is why."""
    if not results:
        why = "there is no input of a floating dtype"
    elif all(r.verdict == "empty" for r in results):
        why = "all inputs are empty"
    elif any(r.kinks for r in results):
        why = "the inputs lie at kinks of the function, where any slope in between would pass"
    else:
        why = "the result does not change, or not visibly, with any of the inputs"
    finding = Finding(
        "vacuous", f"this check could not have failed: {why}",
        "saturated, constant or masked inputs, an argument that is not used, or a result that is always the same "
        "(softmax(x).sum())", "the inputs, take random ones; and return the whole output instead of its sum",
    )  # fmt: skip
    cuts = [cut(trace, leaf, outs) for leaf in leaves] if trace else []
    return [finding, *[c for c in cuts if c][:1]]
