"""How the cost of a training step grows: with the batch, the image, the depth and the length of a sequence.

    python benchmarks/curves.py [--only batch depth] [--threads 1] [--json FILE] [--picture FILE]

Forward and backward, float32, minidl beside PyTorch:

    batch     the VGG of steps.py on 3x32x32 images, 4 to 128 of them
    image     the VGG on 8 images, 16x16 to 128x128; the size that counts is the number of pixels
    mlp       Linear(64, 64) and ReLU, batch 64, 4 to 256 times
    cnn       a 3x3 convolution of 8 channels, batch norm and ReLU on 8x8 images, batch 16, 2 to 64 times
    scalar    a chain of 10 to 10,000 multiplications of one number
    sequence  h <- tanh(x W + h U) over 10 to 2,000 steps, 32 wide, batch 16: a recurrence unrolled by the engine

`slope` is that of the straight line through the upper half of the points, in logarithms of cost and size: 1 where the
cost is proportional to the size. Small sizes cost less than their share more, because something is paid once a step.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import measure
import numpy as np
from contestants import missing
from networks import vgg


def batch(lib, size: int) -> Callable:
    """The VGG on `size` images."""
    return supervised(lib, vgg(lib.nn), (size, 3, 32, 32))


def image(lib, pixels: int) -> Callable:
    """The VGG on larger and larger images."""
    side = round(pixels**0.5)
    return supervised(lib, vgg(lib.nn, side), (8, 3, side, side))


def mlp(lib, depth: int) -> Callable:
    """As many layers of the same width, with weights that keep gradients from dying: tiny numbers are slow ones."""
    rng = np.random.default_rng(0)
    model = lib.nn.Sequential(*[part for _ in range(depth) for part in (lib.nn.Linear(64, 64), lib.nn.ReLU())])
    weights = {name: rng.standard_normal(tuple(p.shape), np.float32) for name, p in model.named_parameters()}
    model.load_state_dict({name: lib.tensor(w * np.float32((2 / 64) ** 0.5)) for name, w in weights.items()})
    return supervised(lib, model, (64, 64))


def cnn(lib, depth: int) -> Callable:
    """As many convolutions of the same width."""
    nn, layers = lib.nn, []
    for channels in [3] + [8] * (depth - 1):
        layers += [nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return supervised(lib, nn.Sequential(*layers, nn.Flatten()), (16, 3, 8, 8))


def supervised(lib, model, shape: tuple) -> Callable:
    """Forward, cross-entropy and backward of a model on one batch."""
    rng = np.random.default_rng(0)
    x, y = lib.tensor(rng.standard_normal(shape, np.float32)), lib.tensor(rng.integers(0, 10, shape[0]))
    loss = lib.nn.CrossEntropyLoss()

    def step():
        model.zero_grad()
        loss(model(x), y).backward()

    return step


def scalar(lib, length: int) -> Callable:
    """Multiplications one after the other: nothing but the engine."""
    x = lib.tensor(1.0, requires_grad=True)

    def step():
        x.grad, y = None, x
        for _ in range(length):
            y = y * 1.0
        y.backward()

    return step


def sequence(lib, length: int) -> Callable:
    """A recurrent network, one operation after the other; the loss sees every state."""
    rng = np.random.default_rng(0)
    x = lib.tensor(rng.standard_normal((length, 16, 32), np.float32))
    w, u = (lib.tensor(rng.standard_normal((32, 32), np.float32) / 8, requires_grad=True) for _ in range(2))

    def step():
        w.grad = u.grad = None
        states = [lib.zeros(16, 32)]
        for t in range(length):
            states.append(lib.tanh(x[t] @ w + states[-1] @ u))
        lib.stack(states).sum().backward()

    return step


CURVES = {  # name: (the step, the sizes, what a size is)
    "batch": (batch, [4, 8, 16, 32, 64, 128], "images in the batch"),
    "image": (image, [16**2, 32**2, 64**2, 128**2], "pixels of the image"),
    "mlp": (mlp, [4, 8, 16, 32, 64, 128, 256], "layers"),
    "cnn": (cnn, [2, 4, 8, 16, 32, 64], "layers"),
    "scalar": (scalar, [10, 30, 100, 300, 1000, 3000, 10000], "operations"),
    "sequence": (sequence, [10, 30, 100, 300, 1000, 2000], "steps of the sequence"),
}


def curves(options) -> list[dict]:
    """All the curves for one setting."""
    absent = missing(options.contestants)
    names = ["minidl", *(name for name in options.contestants if name not in absent)]
    libraries = {name: importlib.import_module(name) for name in names}
    print(f"\n{measure.describe(measure.machine())}\nfloat32, forward and backward, milliseconds")
    for name, reason in absent.items():
        print(f"without {name}: {reason}")
    titles = [" minidl ms", *(" torch ms", " ratio") * ("torch" in libraries)]
    table = measure.Table("curve   ", "   size", *titles)
    rows = []
    for name in options.only:
        make, sizes, _ = CURVES[name]
        points = []
        for size in sizes if options.largest is None else [s for s in sizes if s <= options.largest] or sizes[:1]:
            functions = {library: make(module, size) for library, module in libraries.items()}
            points.append({"size": size} | measure.summary(measure.alternate(functions, options.seconds)))
            times = [f"{ms:.3f}" for ms in points[-1]["ms"].values()]
            table.row(name, f"{size}", *times, *(f"{ratio:.2f}" for ratio in points[-1]["ratio"].values()))
        slopes = {library: slope([(p["size"], p["ms"][library]) for p in points]) for library in libraries}
        print(f"{name}: slope", ", ".join(f"{library} {value:.2f}" for library, value in slopes.items()), flush=True)
        rows.append({"curve": name, "points": points, "slope": slopes})
    return rows


def slope(points: list[tuple[float, float]]) -> float:
    """Of the least-squares line through the upper half of the points, in logarithms."""
    upper = np.log(points[len(points) // 2 - (len(points) == 2) :])
    return float(np.polyfit(*upper.T, 1)[0]) if len(upper) > 1 else float("nan")


def picture(results: list[dict], path: str) -> None:
    """A panel for each curve: cost against size, and the line of proportional cost."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.ticker import LogLocator, NullLocator

    from minidl.viz import style

    rows = results[0]["rows"]
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    fig = style.figure(None, (3.6 * columns, 3.0 * lines))
    panels = fig.subplots(lines, columns, squeeze=False).ravel()
    for ax, row in zip(panels, rows, strict=False):
        sizes = np.array([point["size"] for point in row["points"]])
        for k, (library, value) in enumerate(row["slope"].items()):
            ms = np.array([point["ms"][library] for point in row["points"]])
            low, high = np.array([point["quartiles"][library] for point in row["points"]]).T
            ax.errorbar(sizes, ms, np.abs([ms - low, high - ms]), marker=style.MARKERS[k], markersize=4, linewidth=1.2,
                        color=style.CLASSES[k], label=f"{library}, slope {value:.2f}")  # fmt: skip
            ax.plot(sizes, ms[-1] * sizes / sizes[-1], "--", linewidth=0.8, color=style.faded(style.CLASSES[k], 0.5),
                    zorder=1, label="proportional" if k == 0 else None)  # fmt: skip
        style.dress(ax, row["curve"], CURVES[row["curve"]][2], "ms", grid="both")
        ax.set_xscale("log")
        ax.set_xticks(sizes, sizes)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.yaxis.set_major_formatter("{x:g}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_locator(NullLocator())
        ax.legend(frameon=False, fontsize=style.SMALL)
    for ax in panels[len(rows) :]:
        ax.set_axis_off()
    fig.savefig(path, dpi=150)


def main() -> None:
    parser = measure.arguments(__doc__, seconds=0.5, several=False)
    parser.add_argument("--only", nargs="+", choices=CURVES, default=list(CURVES), help="these curves")
    parser.add_argument("--contestants", nargs="*", choices=["torch"], default=["torch"])
    parser.add_argument("--largest", type=int, metavar="SIZE", help="leave the larger sizes out")
    parser.add_argument("--picture", metavar="FILE", help="draw the curves")
    options = parser.parse_args()
    results = measure.each_setting(curves, options)
    if options.picture:
        picture(results, options.picture)


if __name__ == "__main__":
    main()
