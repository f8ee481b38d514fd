"""Whole training steps, and inference: minidl beside PyTorch, plain NumPy, MyGrad, HIPS autograd and DeZero.

    python benchmarks/steps.py [--threads 1 2] [--blas free Haswell] [--only tiny mlp] [--json FILE] [--picture FILE]

A step is forward, cross-entropy, backward and SGD with momentum 0.9, in float32, with a batch of 64; PyTorch runs
eagerly, with its defaults. Inference is the forward pass in evaluation mode under `no_grad`. Before anything is timed,
three steps from the same weights must give the same losses in all of them. `ratio` is minidl's time divided by that of
the column's library, below 1 where minidl is faster; to PyTorch with its quartiles over the blocks, and with the `goal`
that it is meant to reach. How the times are taken: benchmarks/measure.py.
"""

from __future__ import annotations

import measure
from contestants import CONTESTANTS, check_equal, contestants, missing
from networks import BATCH, INFERENCE_GOAL, NETWORKS


def main() -> None:
    parser = measure.arguments(__doc__, seconds=2.0)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="these networks")
    parser.add_argument("--contestants", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS), help="and these")
    parser.add_argument("--picture", metavar="FILE", help="draw the ratios to PyTorch")
    options = parser.parse_args()
    results = measure.each_setting(steps, options)
    if options.picture:
        picture(results, options.picture)


def steps(options) -> list[dict]:
    """The table for one setting, measured in this process."""
    absent = missing(options.contestants)
    others = [name for name in options.contestants if name not in absent]
    print(f"\n{measure.describe(measure.machine())}")
    print(f"float32, batch {BATCH}, milliseconds per step, medians of alternating blocks")
    for name, reason in absent.items():
        print(f"without {name}: {reason}")
    titles = {name: (f" {name:>6} ms", " ratio") for name in others}
    if "torch" in titles:
        titles["torch"] += " quartiles", "  goal"
    table = measure.Table("network", "pass ", " minidl ms", *sum(titles.values(), ()))
    rows = []
    for name in options.only:
        check_equal(contestants(NETWORKS[name], others, NETWORKS[name].lr))
        found = contestants(NETWORKS[name], others, lr=1e-6)  # so slow that thousands of steps stay the same work
        for mode, goal in (("train", NETWORKS[name].goal), ("infer", INFERENCE_GOAL)):
            rows.append({"network": name, "pass": mode, "goal": goal} | timed(found, mode, options.seconds))
            table.row(*cells(rows[-1], others))
    return rows


def timed(found: dict, mode: str, seconds: float) -> dict:
    """One row: all contestants in the same mode."""
    if mode == "infer":
        for contestant in found.values():
            contestant.evaluate()
    calls = {name: contestant.step if mode == "train" else contestant.infer for name, contestant in found.items()}
    return measure.summary(measure.alternate(calls, seconds))


def cells(row: dict, others: list[str]) -> list[str]:
    """A row as it is printed."""
    printed = [row["network"], row["pass"], f"{row['ms']['minidl']:.3f}"]
    for name in others:
        there = name in row["ms"]
        printed += [f"{row['ms'][name]:.3f}", f"{row['ratio'][name]:.2f}"] if there else ["", ""]
        if name == "torch":
            low, high = row["ratio_quartiles"][name]
            printed += [f"{low:.2f}-{high:.2f}", f"<={row['goal']:.2f}"]
    return printed


def picture(results: list[dict], path: str) -> None:
    """Two panels, training and inference: a dot for each network and setting, with quartiles; a bar at the goal."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    from minidl.viz import style

    rows = [row for result in results for row in result["rows"]]
    if not any("torch" in row["ratio"] for row in rows):
        raise SystemExit("no picture: it shows ratios to PyTorch, which is not among the contestants here")
    names = list(dict.fromkeys(row["network"] for row in rows))
    ends = [end for row in rows for end in (*row["ratio_quartiles"]["torch"], row["ratio"]["torch"], row["goal"], 1)]
    left, right = min(ends) / 1.1, max(ends) * 1.1
    ticks = [tick for tick in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.4, 2, 3, 4, 6, 10) if left <= tick <= right]
    fig = style.figure(None, (8, 1.4 + len(names) * (0.3 + 0.14 * len(results))))
    panels = fig.subplots(1, 2, sharey=True)
    for ax, mode, title in zip(panels, ("train", "infer"), ("Training step", "Inference"), strict=True):
        for k, result in enumerate(results):
            place = (k - (len(results) - 1) / 2) * 0.7 / len(results)
            chosen = [row for row in result["rows"] if row["pass"] == mode]
            ratios = [row["ratio"]["torch"] for row in chosen]
            heights = [names.index(row["network"]) + place for row in chosen]
            label = f"{result['threads']} thread{'s' * (result['threads'] > 1)}, BLAS {result['blas']}"
            ax.hlines(heights, *zip(*(row["ratio_quartiles"]["torch"] for row in chosen), strict=True),
                      color=style.CLASSES[k], linewidth=1.5)  # fmt: skip
            ax.plot(ratios, heights, style.MARKERS[k], color=style.CLASSES[k], markersize=5, label=label)
        goals = {row["network"]: row["goal"] for row in rows if row["pass"] == mode}
        for name, goal in goals.items():
            ax.vlines(goal, names.index(name) - 0.42, names.index(name) + 0.42, color=style.GREY, linewidth=2,
                      label="goal" if name == names[0] else None)  # fmt: skip
        ax.axvline(1, color=style.INK, linewidth=0.8)
        style.dress(ax, title, "minidl's time / PyTorch's (left of 1: faster)", grid="x")
        ax.set_xscale("log")
        ax.set_xlim(left, right)
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    columns = min(4, len(labels))
    fig.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=style.SMALL)
    fig.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
