"""Peak memory of a training step of the VGG: minidl beside PyTorch.

    python benchmarks/memory.py [--batches 16 64 256] [--json FILE]

Each measurement has a process of its own. After a step with a batch of two, which loads the libraries' code, compiles
kernels and makes the optimiser's state, the resident memory is the baseline. Then come three steps with the whole
batch, and the peak of the resident memory, less the baseline, is the result: everything that a batch needs, with what
the allocator and the kernels' scratch hold on to. Linux tells both, in /proc/self/status, and can forget an earlier
peak; elsewhere the peaks of the process before and after stand in. The last table says what is alive in minidl between
forward and backward, and which line made it, as tracemalloc sees it.

    python benchmarks/memory.py --faults

prints instead what minidl/kernels/reuse.py is worth: page faults and time of a training step at batch 64 with the
memory of large results used again, and with fresh memory for each, in turns.
"""

from __future__ import annotations

import os
import sys
import tracemalloc

import measure
import numpy as np
from contestants import Modules, missing
from networks import NETWORKS

MB = 2**20


def peak(name: str, batch: int) -> float:
    """Megabytes that three steps need at most over the baseline."""
    contestant, x, y = _warm(name, batch)
    before = _forget_peak()
    contestant.x, contestant.y = contestant.library.tensor(x), contestant.library.tensor(y)
    for _ in range(3):
        contestant.step()
    return (_peak() - before) / MB


def alive(batch: int) -> list[tuple[str, float]]:
    """(place in minidl, megabytes) of what one forward pass leaves for backward, largest first."""
    contestant, x, y = _warm("minidl", batch)
    tracemalloc.start()
    loss = contestant.criterion(contestant.model(contestant.library.tensor(x)), contestant.library.tensor(y))
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    loss.backward()
    root = os.path.dirname(contestant.library.__file__) + os.sep
    lines = snapshot.filter_traces([tracemalloc.Filter(True, root + "*")]).statistics("lineno")
    return [(f"{s.traceback[0].filename.removeprefix(root)}:{s.traceback[0].lineno}", s.size / MB) for s in lines]


def faults(options) -> list[dict]:
    """Rows of page faults and milliseconds a step, with memory used again and with fresh memory."""
    import resource  # not on Windows

    from minidl.kernels import reuse

    print(f"\n{measure.describe(measure.machine())}\na training step, float32, batch 64: memory used again, and fresh")
    table = measure.Table("network", "faults again", "fresh", "ms again", "   fresh", "ratio")
    rows, least = [], reuse.LEAST
    for name in options.only:
        contestant, x, y = _warm("minidl", 64, name)
        contestant.x, contestant.y = contestant.library.tensor(x), contestant.library.tensor(y)
        count = {}

        def step(how, contestant=contestant, count=count):
            reuse.LEAST = least if how == "again" else sys.maxsize
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            contestant.step()
            count.setdefault(how, []).append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

        ways = {how: lambda how=how, step=step: step(how) for how in ("again", "fresh")}
        found = measure.summary(measure.alternate(ways, options.seconds), first="again")
        reuse.LEAST = least
        median = {how: float(np.median(values)) for how, values in count.items()}
        rows.append({"network": name, "faults": median, **found})
        table.row(
            name, *(f"{median[how]:.0f}" for how in ("again", "fresh")), *(f"{t:.2f}" for t in found["ms"].values()),
            f"{found['ratio']['fresh']:.2f}",
        )  # fmt: skip
    return rows


def _warm(name, batch, which="vgg"):
    """A contestant that has taken a small step, and a batch for large ones."""
    from minidl import manual_seed, nn

    manual_seed(0)
    network = NETWORKS[which]
    weights = {key: np.array(value) for key, value in network.make(nn).state_dict().items()}
    contestant = Modules(name, network, weights, *network.batch(2), lr=1e-6)
    contestant.step()
    return contestant, *network.batch(batch)


def _status(field):
    """A line of /proc/self/status in bytes; None where there is no such file."""
    try:
        with open("/proc/self/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return None


def _forget_peak():
    """The resident memory of now; from now on the peak is that of what follows, where the system can do that."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    return _status("VmRSS") or _peak()


def _peak():
    known = _status("VmHWM")
    if known is not None:
        return known
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(options) -> list[dict]:
    """The tables; runs in a process of the setting, and starts one for each measurement."""
    absent = missing(options.contestants)
    print(f"\n{measure.describe(measure.machine())}\nVGG on 3x32x32, float32, peak memory of a training step in MB")
    for name, reason in absent.items():
        print(f"without {name}: {reason}")
    names = ["minidl", *(name for name in options.contestants if name not in absent)]
    table = measure.Table("batch", "  minidl", *("   torch", " ratio") * (len(names) > 1))
    rows = []
    for batch in options.batches:
        mb = {name: measure.in_fresh_process(peak, name, batch) for name in names}
        rows.append({"batch": batch, "mb": mb})
        ratio = [f"{mb['minidl'] / mb['torch']:.2f}"] if "torch" in mb else []
        table.row(f"{batch}", *(f"{value:.1f}" for value in mb.values()), *ratio)
    places = measure.in_fresh_process(alive, options.batches[-1])
    total = sum(mb for _, mb in places)
    print(f"\nalive between forward and backward at batch {options.batches[-1]}: {total:.1f} MB, made in")
    table = measure.Table("      MB", f"{'line':<30}")
    for place, mb in places:
        if mb > total / 100:
            table.row(f"{mb:.1f}", place)
    return [*rows, {"batch": options.batches[-1], "alive": dict(places[:20])}]


def main() -> None:
    parser = measure.arguments(__doc__, seconds=4.0, several=False)
    parser.add_argument("--faults", action="store_true", help="page faults, and what using memory again is worth")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 256], metavar="N")
    parser.add_argument("--contestants", nargs="*", choices=["torch"], default=["torch"])
    only = {"choices": list(NETWORKS), "default": ["lenet", "vgg", "resnet8"]}
    parser.add_argument("--only", nargs="+", metavar="NAME", **only)
    options = parser.parse_args()
    measure.each_setting(faults if options.faults else memory, options)


if __name__ == "__main__":
    main()
