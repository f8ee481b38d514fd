"""Do NumPy's threads and ours get along? Products of matrices beside a parallel kernel, with NumPy imported first.

    python benchmarks/threads.py [--threads 2] [--blocks 15] [--busy 1]

First table: a convolution on several threads and then a product of (64, 256) by (256, 128), as in a training step;
microseconds for either, where NumPy's BLAS starts its own threads, and where minidl keeps it to one and shares the
product itself. Second table: the products of a layer forward and backward, beside PyTorch's where it is installed.
Medians over blocks that take turns; the ratio is of medians, below 1 where minidl is faster. --busy: so many
processors are kept busy by other programs meanwhile, as on a laptop with a browser open.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time

import measure
import numpy as np  # first, as users do: BLAS has read its environment variables and started its threads

from minidl import kernels

rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def take_turns(contestants: dict, blocks: int) -> dict:
    """Microseconds for each contestant: the median over blocks of the median in a block. A contestant returns times."""
    results = {name: [] for name in contestants}
    for block in range(blocks + 1):  # the first warms up
        for name, times in contestants.items():
            time.sleep(0.05)  # threads that still spin go to sleep
            measured = [statistics.median(column) * 1e6 for column in zip(*(times() for _ in range(30)), strict=True)]
            if block:
                results[name].append(measured)
    return {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in results.items()}


def timed(*calls):
    """A contestant: calls these one after the other and returns the time of each."""

    def times():
        marks = [time.perf_counter()]
        for call in calls:
            call()
            marks.append(time.perf_counter())
        return [after - before for before, after in zip(marks, marks[1:], strict=False)]

    return times


def beside_a_kernel(blocks: int) -> None:
    image, filters = normal(64, 16, 16, 16), normal(16, 16, 3, 3)
    x, w = normal(64, 256), normal(128, 256)

    def conv():
        kernels.conv2d(image, filters, None, (1, 1), (1, 1), (1, 1), 1)

    found = take_turns(
        {"NumPy": timed(conv, lambda: np.matmul(x, w.T)), "minidl": timed(conv, lambda: kernels.matmul(x, w.T))}, blocks
    )
    print(f"\n{'us':20}{'convolution':>14}{'product':>12}{'both':>12}")
    rows = {name: [*times, sum(times)] for name, times in found.items()}
    for name, times in rows.items():
        print(f"{name + ' product':20}" + "".join(f"{t:>{w}.0f}" for t, w in zip(times, (14, 12, 12), strict=True)))
    ratios = [after / before for before, after in zip(rows["NumPy"], rows["minidl"], strict=True)]
    print(f"{'ratio':20}" + "".join(f"{r:>{w}.2f}" for r, w in zip(ratios, (14, 12, 12), strict=True)))


def products(blocks: int, threads: int) -> None:
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(threads)
    torch = sys.modules.get("torch")
    print(f"\n{'us':34}{'minidl':>9}{'NumPy':>9}{'ratio':>7}" + (f"{'PyTorch':>9}{'ratio':>7}" if torch else ""))
    for n, inputs, outputs in (64, 2, 16), (64, 784, 256), (64, 256, 128), (64, 128, 10), (1024, 512, 512):
        x, w, g = normal(n, inputs), normal(outputs, inputs), normal(n, outputs)
        for formula, a, b in ("x @ w.T", x, w.T), ("g @ w", g, w), ("g.T @ x", g.T, x):
            contestants = {
                "minidl": timed(lambda a=a, b=b: kernels.matmul(a, b)), "NumPy": timed(lambda a=a, b=b: np.matmul(a, b))
            }  # fmt: skip
            if torch:
                s, t = torch.from_numpy(a), torch.from_numpy(b)
                contestants["PyTorch"] = timed(lambda s=s, t=t: torch.matmul(s, t))
            found = {name: times[0] for name, times in take_turns(contestants, blocks).items()}
            others = "".join(f"{t:>9.1f}{found['minidl'] / t:>7.2f}" for t in list(found.values())[1:])
            print(f"{formula:9}{f'x ({n}, {inputs}), w ({outputs}, {inputs})':25}{found['minidl']:>9.1f}{others}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=kernels.get_num_threads())
    arguments.add_argument("--blocks", type=int, default=15)
    arguments.add_argument("--busy", type=int, default=0, help="processors that something else keeps busy")
    arguments = arguments.parse_args()
    kernels.set_num_threads(arguments.threads)
    print(measure.describe(measure.machine()))
    print(f"kernels: {kernels.backend()}, {arguments.threads} threads; NumPy's products: as many as BLAS chose")
    print(f"processors kept busy by something else: {arguments.busy}")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.busy)]
    try:
        beside_a_kernel(arguments.blocks)
        products(arguments.blocks, arguments.threads)
    finally:
        for other in others:
            other.kill()


if __name__ == "__main__":
    main()
