"""Check every derivative of the library against finite differences, and print the table."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable

import numpy as np

from ..check import gradcheck
from ..check.registry import CASES, Case


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which functions, and how far."""
    parser.add_argument("functions", nargs="*", metavar="function", help="such as softmax; all if none is named")
    parser.add_argument("--order", type=int, choices=(1, 2), default=2, help="check derivatives up to this order")
    parser.add_argument("--seed", type=int, default=0, help="of the sample inputs and the random directions")


def run(args: argparse.Namespace) -> int:
    """Print a row for each function. Status 1 if one of them is wrong."""
    cases = _chosen(args.functions)
    width = max(len(name) for name in cases)
    print(f"{'function':{width}}  cases  1st order  2nd order  kinks")
    worst, failures = {1: 0.0, 2: 0.0}, []
    for name, group in cases.items():
        errors, kinks, failed = _check(group, args.order, args.seed)
        failures += failed
        worst = {n: max(worst[n], errors.get(n, 0.0)) for n in worst}
        columns = [f"{errors[n]:9.1e}" if n in errors else " " * 8 + "-" for n in (1, 2)]
        verdict = "  WRONG" if failed else ""
        print(f"{name:{width}}  {len(group):5}  {'  '.join(columns)}  {kinks:5}{verdict}", flush=True)
    for failure in failures:
        print(f"\n{failure}")
    total = sum(map(len, cases.values()))
    print(
        f"\n{len(cases)} functions, {total} cases: {len(failures) or 'none'} wrong; worst relative error "
        f"{worst[1]:.1e} at first order" + (f", {worst[2]:.1e} at second order" if args.order > 1 else "")
    )
    return 1 if failures else 0


def _chosen(names: Iterable[str]) -> dict[str, list[Case]]:
    """The cases of each function, in the order of the table."""
    table: dict[str, list[Case]] = {}
    for case in CASES:
        table.setdefault(case.name, []).append(case)
    short = {name.rpartition(".")[2]: name for name in table} | {name: name for name in table}
    for name in names:
        if name not in short:
            close = difflib.get_close_matches(name, short, 3)
            hint = f"; did you mean {' or '.join(close)}?" if close else "; without a name, all are checked"
            raise ValueError(f"there is no differentiable function {name!r}{hint}")
    wanted = [short[name] for name in names] or table
    return {name: table[name] for name in wanted}


def _check(cases: list[Case], order: int, seed: int) -> tuple[dict[int, float], int, list[str]]:
    """The worst error at each order, the kinks met, and the reports of what is wrong."""
    errors: dict[int, float] = {}
    kinks, failed = 0, []
    for case in cases:
        f, arrays = case.problem(np.random.default_rng(seed))
        report = gradcheck(f, tuple(arrays), order, rng=seed)
        for n, error in report.worst.items():
            errors[n] = max(errors.get(n, 0.0), error)
        kinks += report.kinks
        if not report and not (case.flat and report.vacuous):
            failed.append(f"{case}\n{report}")
    return errors, kinks, failed
