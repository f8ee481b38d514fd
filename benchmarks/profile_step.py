"""Where a training step spends its time: by operation, by compiled kernel, and in the engine itself.

    python benchmarks/profile_step.py vgg [--threads 1] [--kernels numpy] [--json FILE]
    python benchmarks/profile_step.py --overhead
    python benchmarks/profile_step.py tiny --instructions

The table: an observer is told of every operation and of every rule that backward applied, and charges the time since
the last event to the new one. So the parts add up to the whole step; what modules and the engine do around an operation
counts as the operation's. Operations of the same name and the same shape of result share a line.

--overhead: the engine's cost per recorded operation over NumPy's own time; benchmarks/overhead.py says how.
--instructions: processor instructions per step, instead of time; benchmarks/instructions.py.
"""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager

import measure
import numpy as np
from contestants import contestants
from instructions import instructions
from networks import BATCH, NETWORKS
from overhead import overhead


class Clock:
    """Charges the time since the last event to the event that just happened."""

    def __init__(self) -> None:
        self.operations: dict[tuple, dict[str, float]] = {}
        self.kernels: dict[str, list[float]] = {}
        self.last = time.perf_counter()

    def forward(self, op, args, result) -> None:
        line = self.charge(op.name, result.shape, "forward")
        line["calls"] = line.get("calls", 0) + 1

    def backward(self, node, k, gradient) -> None:
        self.charge(node.op.name, node.shape, f"to {node.op.params[k]}")

    def charge(self, name: str, shape: tuple | None, part: str) -> dict[str, float]:
        """Add the time to one part of one line."""
        line = self.operations.setdefault((name, shape), {})
        line[part] = line.get(part, 0.0) + time.perf_counter() - self.last
        self.last = time.perf_counter()
        return line


@contextmanager
def watching(clock: Clock):
    """Let the clock see every operation, every rule and every launch of a compiled kernel."""
    from minidl import engine
    from minidl.kernels import threads

    launch = threads.run

    def run(kernel, *args, **kwargs):
        start = time.perf_counter()
        launch(kernel, *args, **kwargs)
        line = clock.kernels.setdefault(kernel.__name__, [0.0, 0])
        line[0] += time.perf_counter() - start
        line[1] += 1

    engine._observers.append(clock)
    threads.run = run
    try:
        yield
    finally:
        threads.run = launch
        engine._observers.remove(clock)


def profiled(name: str, seconds: float) -> tuple[Clock, int, float]:
    """The clock after some steps, how many they were, and the seconds of a step that nobody watched."""
    found = contestants(NETWORKS[name], (), lr=1e-6)["minidl"]
    alone = np.median(measure.alternate({"minidl": found.step}, seconds)["minidl"])
    clock, steps = Clock(), max(3, round(seconds / alone))
    gc.collect()
    with watching(clock):
        clock.last = time.perf_counter()
        for _ in range(steps):
            found.optimizer.zero_grad()
            clock.charge("optimizer", None, "zero_grad")
            loss = found.criterion(found.model(found.x), found.y)
            loss.backward()
            clock.charge("gradients of the leaves", None, "backward")
            found.optimizer.step()
            clock.charge("optimizer", None, "step")
    return clock, steps, float(alone)


def operations(options) -> list[dict]:
    """The tables of one network."""
    print(f"\n{measure.describe(measure.machine())}")
    clock, steps, alone = profiled(options.network, options.seconds)
    total = sum(seconds for line in clock.operations.values() for part, seconds in line.items() if part != "calls")
    watched = 1e3 * total / steps
    print(f"{options.network}, float32, batch {BATCH}: {1e3 * alone:.3f} ms a step, {watched:.3f} when watched")
    titles = f"{'operation':<24}", f"{'result':<16}", " calls", " forward ms", " backward ms", "  share", "of which"
    table = measure.Table(*titles)
    rows = []
    for (name, shape), line in clock.operations.items():
        ms = {part: 1e3 * value / steps for part, value in line.items() if part != "calls"}
        forward, whole = ms.get("forward", 0.0), sum(ms.values())
        rows.append({"operation": name, "shape": shape, "calls": line.get("calls", 0) / steps, "ms": ms})
        rows[-1] |= {"forward": forward, "backward": whole - forward, "share": whole / watched}
    for row in sorted(rows, key=lambda row: -row["share"]):
        parts = ", ".join(f"{part} {value:.3f}" for part, value in row["ms"].items() if part != "forward")
        shape = "x".join(map(str, row["shape"])) if row["shape"] is not None else ""
        table.row(row["operation"], shape, f"{row['calls']:.0f}" if row["calls"] else "", f"{row['forward']:.3f}",
                  f"{row['backward']:.3f}", f"{row['share']:.1%}", parts)  # fmt: skip
    kernels(clock, steps, total)
    return rows


def kernels(clock: Clock, steps: int, total: float) -> None:
    """The compiled kernels by themselves; their time is part of the operations' above."""
    if not clock.kernels:
        return print("no compiled kernel was called")
    print()
    table = measure.Table(f"{'compiled kernel':<24}", " calls", "      ms", "  share")
    for name, (seconds, calls) in sorted(clock.kernels.items(), key=lambda item: -item[1][0]):
        table.row(name, f"{calls / steps:.0f}", f"{1e3 * seconds / steps:.3f}", f"{seconds / total:.1%}")
    seconds = sum(seconds for seconds, _ in clock.kernels.values())
    table.row("together", "", f"{1e3 * seconds / steps:.3f}", f"{seconds / total:.1%}")


def main() -> None:
    parser = measure.arguments(__doc__, seconds=1.0, several=False)
    parser.add_argument("network", nargs="?", choices=NETWORKS)
    parser.add_argument("--overhead", action="store_true", help="the engine's cost per operation")
    parser.add_argument("--instructions", action="store_true", help="count instructions instead of time")
    parser.add_argument(
        "--contestants", nargs="+", choices=["minidl", "numpy", "torch"], default=["minidl"],
        help="of --instructions; PyTorch takes minutes under valgrind, NumPy knows tiny and mlp only",
    )  # fmt: skip
    options = parser.parse_args()
    if options.network is None and (options.instructions or not options.overhead):
        parser.error(f"name a network: {', '.join(NETWORKS)}")
    work = overhead if options.overhead else instructions if options.instructions else operations
    measure.each_setting(work, options)


if __name__ == "__main__":
    main()
