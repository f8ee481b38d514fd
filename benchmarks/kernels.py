"""Kernel by kernel: minidl beside PyTorch, and beside minidl's own NumPy twin of the same kernel.

    python benchmarks/kernels.py [--threads 1 2] [--blas free] [--only conv pool] [--batch 64] [--json FILE]

The convolutions are called as kernels, arrays in and arrays out: forward, gradient to the input, gradient to the
weights. Everything else is called as the layer that users see: forward under `no_grad`, and backward from a given
gradient to the input and the parameters. (minidl copies the gradient that `backward` is given, and its time includes
that.) The updates are those of all parameters of the VGG of steps.py. `ratio` is minidl's time divided by that of the
column, below 1 where minidl's kernel is faster. Before the times are taken, the results are compared.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

import measure
import numpy as np
from contestants import missing
from networks import BATCH, vgg

CONVOLUTIONS = [  # channels, height = width, filters, kernel, stride, padding, dilation, groups
    (1, 28, 6, 5, 1, 2, 1, 1), (6, 14, 16, 5, 1, 0, 1, 1),  # LeNet
    (3, 32, 32, 3, 1, 1, 1, 1), (32, 32, 32, 3, 1, 1, 1, 1), (32, 16, 64, 3, 1, 1, 1, 1),
    (64, 16, 64, 3, 1, 1, 1, 1), (64, 8, 128, 3, 1, 1, 1, 1), (128, 8, 128, 3, 1, 1, 1, 1),  # VGG
    (16, 32, 16, 3, 1, 1, 1, 1), (16, 32, 32, 3, 2, 1, 1, 1), (32, 16, 64, 3, 2, 1, 1, 1),
    (16, 32, 32, 1, 2, 0, 1, 1),  # ResNet
    (64, 16, 64, 1, 1, 0, 1, 1), (16, 32, 16, 3, 1, 2, 2, 1), (32, 16, 32, 3, 1, 1, 1, 4),
    (64, 16, 64, 3, 1, 1, 1, 64), (32, 32, 32, 3, 2, 1, 1, 32),  # 1x1, dilated, grouped, depthwise
]  # fmt: skip


def layers(batch: int) -> list[tuple[str, Callable, tuple[int, ...]]]:
    """Name, maker (given the library) and shape of the input."""
    labels = np.random.default_rng(0).integers(0, 10, batch)

    def norm(channels, training, relu):
        return lambda lib: lib.nn.Sequential(lib.nn.BatchNorm2d(channels), *[lib.nn.ReLU()] * relu).train(training)

    return [
        ("max pool 2x2", lambda lib: lib.nn.MaxPool2d(2), (batch, 32, 32, 32)),
        ("max pool 2x2", lambda lib: lib.nn.MaxPool2d(2), (batch, 6, 28, 28)),
        ("max pool 3x3 stride 2", lambda lib: lib.nn.MaxPool2d(3, 2), (batch, 32, 32, 32)),
        ("avg pool 2x2", lambda lib: lib.nn.AvgPool2d(2), (batch, 32, 32, 32)),
        ("avg pool global", lambda lib: lib.nn.AdaptiveAvgPool2d(1), (batch, 64, 8, 8)),
        ("batch norm train", norm(32, True, False), (batch, 32, 32, 32)),
        ("batch norm train + relu", norm(32, True, True), (batch, 32, 32, 32)),
        ("batch norm train + relu", norm(128, True, True), (batch, 128, 8, 8)),
        ("batch norm eval", norm(32, False, False), (batch, 32, 32, 32)),
        ("batch norm eval + relu", norm(32, False, True), (batch, 32, 32, 32)),
        ("relu", lambda lib: lib.nn.ReLU(), (batch, 32, 32, 32)),
        ("relu", lambda lib: lib.nn.ReLU(), (batch, 256)),
        ("cross-entropy", lambda lib: _loss(lib, labels), (batch, 10)),
        ("cross-entropy", lambda lib: _loss(lib, labels), (batch, 1000)),
    ]


def cases(batch: int, libraries: dict) -> Iterator[tuple[str, str, dict[str, Callable]]]:
    """(kernel, pass, what each contestant calls)."""
    for geometry in CONVOLUTIONS:
        yield from convolution(batch, libraries, *geometry)
    for name, make, shape in layers(batch):
        yield from layer(name, make, shape, libraries)
    for rule, options in (("SGD", {"momentum": 0.9}), ("Adam", {})):
        yield f"update {rule}", "step", {lib: update(module, rule, options) for lib, module in libraries.items()}


def convolution(batch, libraries, channels, size, filters, kernel, stride, padding, dilation, groups) -> Iterator:
    """The three passes of one geometry."""
    from minidl import kernels

    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, channels, size, size), np.float32)
    w = rng.standard_normal((filters, channels // groups, kernel, kernel), np.float32)
    b = rng.standard_normal(filters, np.float32)
    how = (stride, stride), (padding, padding), (dilation, dilation)
    g = rng.standard_normal(kernels.conv2d(x, w, b, *how, groups).shape, np.float32)
    calls = {
        "forward": {"minidl": lambda: kernels.conv2d(x, w, b, *how, groups)},
        "to input": {"minidl": lambda: kernels.conv2d_input(g, w, x.shape, *how, groups)},
        "to weight": {"minidl": lambda: kernels.conv2d_weight(g, x, w.shape, *how, groups)},
    }
    if "torch" in libraries:
        torch = libraries["torch"]
        tx, tw, tb, tg = map(torch.from_numpy, (x, w, b, g))

        def backward(k):
            wanted = (k == 0, k == 1, False)
            return torch.ops.aten.convolution_backward(tg, tx, tw, None, *how, False, (0, 0), groups, wanted)[k]

        calls["forward"]["torch"] = lambda: torch.nn.functional.conv2d(tx, tw, tb, *how, groups)
        calls["to input"]["torch"] = lambda: backward(0)
        calls["to weight"]["torch"] = lambda: backward(1)
    special = {"stride": stride, "dilation": dilation, "groups": groups if groups < channels else 1}
    extra = "".join(f" {name} {value}" for name, value in special.items() if value > 1)
    extra += " depthwise" * (1 < groups == channels)
    for mode, functions in calls.items():
        yield f"conv {channels}x{size} -> {filters} {kernel}x{kernel}{extra}", mode, functions


def layer(name: str, make: Callable, shape: tuple, libraries: dict) -> Iterator:
    """Forward with nothing recorded; backward over and over through a graph that is kept."""
    forward, backward = {}, {}
    for library, module in libraries.items():
        forward[library], backward[library] = _passes(module, make(module), shape)
    name = f"{name} {'x'.join(map(str, shape[1:]))}"
    yield name, "forward", forward
    yield name, "backward", backward


def _passes(library, function, shape):
    rng = np.random.default_rng(0)
    x = library.tensor(rng.standard_normal(shape, np.float32), requires_grad=True)
    out = function(x)
    g = library.tensor(rng.standard_normal(tuple(out.shape), np.float32))
    leaves = [x, *(function.parameters() if isinstance(function, library.nn.Module) else ())]

    def forward():
        with library.no_grad():
            return function(x)

    def backward():
        for leaf in leaves:
            leaf.grad = None
        out.backward(g, retain_graph=True)
        return x.grad

    return forward, backward


def _loss(library, labels):
    y, loss = library.tensor(labels), library.nn.CrossEntropyLoss()
    return lambda x: loss(x, y)


def update(library, rule: str, options: dict) -> Callable:
    """One step of an optimiser over the VGG's parameters, whose gradients stay what they are."""
    rng = np.random.default_rng(0)
    parameters = []
    for p in vgg(library.nn).parameters():
        parameters.append(library.tensor(rng.standard_normal(tuple(p.shape), np.float32), requires_grad=True))
        parameters[-1].grad = library.tensor(rng.standard_normal(tuple(p.shape), np.float32))
    optimizer = getattr(importlib.import_module(f"{library.__name__}.optim"), rule)(parameters, lr=1e-6, **options)

    def step():
        optimizer.step()
        return parameters[0].detach()

    return step


def with_twin(functions: dict[str, Callable]) -> dict[str, Callable]:
    """And minidl's once more, on the NumPy kernels."""
    from minidl import kernels

    def twin():
        with kernels.using("numpy"):
            return functions["minidl"]()

    return {**functions, "twin": twin}


def check_equal(kernel: str, functions: dict[str, Callable]) -> None:
    """The contestants return the same numbers, or the program ends here."""
    results = {name: np.asarray(function().data).copy() for name, function in functions.items()}
    scale = np.abs(results["minidl"]).max()
    for name, result in results.items():
        error = np.abs(result - results["minidl"]).max() / scale
        if not error <= 1e-4:
            raise SystemExit(f"{kernel}: {name} computes something else than minidl (relative error {error:.1e})")


def table(options) -> list[dict]:
    """The table for one setting, measured in this process."""
    absent = missing(name for name in options.contestants if name == "torch")
    names = ["minidl", *(name for name in options.contestants if name == "torch" and name not in absent)]
    libraries = {name: importlib.import_module(name) for name in names}
    others = [name for name in options.contestants if name not in absent]
    print(f"\n{measure.describe(measure.machine())}")
    print(f"float32, batch {options.batch}, milliseconds per call, medians of alternating blocks")
    for name, reason in absent.items():
        print(f"without {name}: {reason}")
    titles = [title for name in others for title in (f" {name:>6} ms", " ratio", " quartiles")]
    printed = measure.Table(f"{'kernel':<40}", "pass     ", " minidl ms", *titles)
    rows = []
    for kernel, mode, functions in cases(options.batch, libraries):
        if not any(word in kernel for word in options.only):
            continue
        functions = with_twin(functions) if "twin" in others else functions
        check_equal(f"{kernel}, {mode}", functions)
        rows.append({"kernel": kernel, "pass": mode} | measure.summary(measure.alternate(functions, options.seconds)))
        printed.row(kernel, mode, f"{rows[-1]['ms']['minidl']:.3f}", *cells(rows[-1], others))
    return rows


def cells(row: dict, others: list[str]) -> Iterator[str]:
    """Time, ratio and its quartiles for every other contestant."""
    for name in others:
        low, high = row["ratio_quartiles"][name]
        yield from (f"{row['ms'][name]:.3f}", f"{row['ratio'][name]:.2f}", f"{low:.2f}-{high:.2f}")


def main() -> None:
    parser = measure.arguments(__doc__, seconds=0.3)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="kernels that contain one of these")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--contestants", nargs="*", choices=["torch", "twin"], default=["torch", "twin"])
    measure.each_setting(table, parser.parse_args())


if __name__ == "__main__":
    main()
