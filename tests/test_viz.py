"""Pictures: the numbers behind them against direct computation, every function on hard cases, nothing left behind."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

import minidl  # noqa: E402
from minidl import Tensor, kernels, nn, optim, viz  # noqa: E402
from minidl.train import Callback, fit  # noqa: E402
from minidl.viz import graph_layout, style  # noqa: E402
from minidl.viz.boundary import shading  # noqa: E402
from minidl.viz.probe import probabilities, untouched  # noqa: E402

NAN = float("nan")


@pytest.fixture(autouse=True)
def global_state():
    """rcParams, backend and the figures that were open are the user's; what a test opens it may leave to us."""
    mine, before, backend = plt.figure(), dict(matplotlib.rcParams), matplotlib.get_backend()
    with kernels.using("numpy"):  # nothing here is worth compiling for
        yield
    assert dict(matplotlib.rcParams) == before and matplotlib.get_backend() == backend
    assert plt.fignum_exists(mine.number), "a figure was closed that viz had not opened"
    plt.close("all")


def small_model(**kind):
    first, second, last = (nn.Linear(n, m, **kind) for n, m in ((2, 8), (8, 8), (8, 3)))
    return nn.Sequential(first, nn.Tanh(), second, nn.ReLU(), last)


def image_model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(4 * 36, 6), nn.Dropout(0.5, rng=3), nn.Sigmoid(), nn.Linear(6, 3),
    )  # fmt: skip


def cross_entropy(output, y):
    return nn.CrossEntropyLoss()(output, y)


def points(rng, n=30, dtype=np.float32, classes=3):
    return rng.normal(size=(n, 2)).astype(dtype), rng.integers(0, classes, n)


def rows(epochs, validation=True, **change):
    made = []
    for e in range(1, epochs + 1):
        row = {"epoch": e, "lr": 0.1, "loss": 1 / e, "accuracy": 1 - 0.5 / e}
        if validation:
            row |= {"val_loss": 1 / e + 0.02 * e * e, "val_accuracy": 1 - 0.6 / e}
        made.append(row | {k: v for k, v in change.items() if e == epochs})
    return made


SAME_LAYOUT = ("NaN", "one", "finite", "zero", "constant", "float64", "frozen", "mixed")  # hard values, usual places


def legible(fig, name=""):
    """Draw the figure, without ink; nothing of it may lie outside the paper."""
    if any(word in name for word in SAME_LAYOUT):  # layout takes most of the time
        fig.set_layout_engine("none")
        fig.draw_without_rendering()
        return
    fig.draw_without_rendering()
    box, paper = fig.get_tightbbox(), fig.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < paper[0] + 0.02 and box.y1 < paper[1] + 0.02, (box, paper)


# --- Every picture on ordinary and hard cases -----------------------------------------------------------------------


def scalar_graph():
    a, b = Tensor([2.0], requires_grad=True), Tensor([-3.0], requires_grad=True)
    return ((a * b + a) ** 2).tanh(), {"a": a, "b": b}


def measured(rng, steps=3, dtype=np.float32):
    model, ratios = small_model(dtype=dtype), viz.UpdateRatios()
    for _ in range(steps):
        ratios.before(model)
        for p in model.parameters():
            p.data += 0.01 * rng.normal(size=p.shape).astype(dtype)
        ratios.after(model)
    return ratios


def broken(dtype=np.float32):
    """A model whose outputs are not finite."""
    model = small_model(dtype=dtype)[2:]
    model[0].weight.data[0, 0] = np.nan
    return nn.Sequential(nn.Linear(2, 8, dtype=dtype), *model)


def half_broken(x):
    """Logits that are NaN in a half plane."""
    return minidl.where(x.numpy()[:, 0] > 0, x[:, 1], NAN)


PANELS = {
    "curve": lambda rng, ax: viz.curve(rows(30), "loss", ax),
    "curve one epoch": lambda rng, ax: viz.curve(rows(1), "accuracy", ax),
    "curve no validation": lambda rng, ax: viz.curve(rows(4, validation=False), "loss", ax, log=True),
    "curve NaN": lambda rng, ax: viz.curve(rows(5, loss=NAN, val_loss=NAN), "loss", ax),
    "curve all NaN": lambda rng, ax: viz.curve({"loss": [NAN, NAN]}, "loss", ax, log=True),
    "curve only validation": lambda rng, ax: viz.curve({"val_f1": [0.1, None, 0.3]}, "f1", ax),
    "boundary": lambda rng, ax: viz.decision_boundary(small_model(), *points(rng), ax, resolution=40),
    "boundary float64": lambda rng, ax: viz.decision_boundary(
        small_model(dtype=np.float64), *points(rng, dtype=np.float64), ax, resolution=20),
    "boundary mixed dtypes": lambda rng, ax: viz.decision_boundary(
        small_model(), *points(rng, dtype=np.float64), ax, resolution=20),
    "boundary one class": lambda rng, ax: viz.decision_boundary(
        lambda x: x[:, 0], points(rng)[0], np.ones(30), ax, resolution=20),
    "boundary one point": lambda rng, ax: viz.decision_boundary(
        small_model(), *points(rng, 1), ax, classes=["a", "b", "c"], resolution=20),
    "boundary not finite": lambda rng, ax: viz.decision_boundary(
        half_broken, *points(rng, classes=2), ax, resolution=20),
    "boundary nowhere finite": lambda rng, ax: viz.decision_boundary(broken(), *points(rng), ax, resolution=20),
    "boundary NaN points": lambda rng, ax: viz.decision_boundary(
        small_model(), np.array([[0, 1], [NAN, 0], [1, 1]], np.float32), [0, 1, 2], ax, resolution=20),
    "graph": lambda rng, ax: viz.graph(*scalar_graph(), ax),
    "graph of a model": lambda rng, ax: viz.graph(small_model()(Tensor(points(rng)[0])).sum(), None, ax),
    "graph one operation": lambda rng, ax: viz.graph(Tensor([1.0], requires_grad=True).exp(), None, ax),
    "validation_curve": lambda rng, ax: viz.validation_curve([1, 2, 4], [3, 2, 1], rng.random((3, 5)), ax, log=True),
    "validation_curve NaN": lambda rng, ax: viz.validation_curve(["a", "b"], [NAN, 2], [[NAN] * 3] * 2, ax, "accuracy"),
    "learning_curve": lambda rng, ax: viz.learning_curve([10, 99], rng.random((2, 3)), [2, 1], ax, floor=0.5),
    "bias_variance": lambda rng, ax: viz.bias_variance(
        [1, 2], [{"noise": 0.0, "bias2": b, "variance": 0.2, "total": b + 0.2} for b in (0.5, 0.0)], ax),
    "update_ratios": lambda rng, ax: viz.update_ratios(measured(rng), ax=ax),
    "update_ratios one step": lambda rng, ax: viz.update_ratios(measured(rng, 1, np.float64), ["0.bias"], ax),
    "update_ratios frozen": lambda rng, ax: viz.update_ratios(still(), ax=ax),
    "function": lambda rng, ax: viz.function_and_gradient(minidl.tanh, (-3, 3), ax),
    "function module": lambda rng, ax: viz.function_and_gradient(nn.Swish(learnable=True), ax=ax),
    "functions": lambda rng, ax: viz.function_and_gradient({"relu": minidl.relu, "one": lambda x: 0 * x + 1}, ax=ax),
    "images grey": lambda rng, ax: viz.images(rng.random((12, 1, 6, 6)), range(12), [1] * 12, ax, title="twelve"),
    "images RGB": lambda rng, ax: viz.images(
        rng.integers(0, 256, (5, 3, 4, 6), dtype=np.uint8), np.arange(5) % 2, ax=ax, classes=["aeroplane", "horse"]),
    "images one": lambda rng, ax: viz.images(rng.random((1, 5, 5)), [0], [3], ax),
    "images constant": lambda rng, ax: viz.images(np.full((2, 4, 4), 7.0), ax=ax),
    "images NaN": lambda rng, ax: viz.images(np.full((1, 3, 4, 4), NAN), ax=ax),
    "filters grey": lambda rng, ax: viz.filters(nn.Conv2d(1, 8, 3), ax),
    "filters RGB": lambda rng, ax: viz.filters(nn.Conv2d(3, 8, 5, dtype=np.float64), ax),
    "filters many channels": lambda rng, ax: viz.filters(nn.Conv2d(7, 20, 3), ax, limit=30),
    "filters linear": lambda rng, ax: viz.filters(nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), ax),
    "filters zero": lambda rng, ax: viz.filters(np.zeros((2, 1, 3, 3)), ax),
    "filters NaN": lambda rng, ax: viz.filters(np.full((1, 1, 3, 3), NAN), ax),
    "confusion": lambda rng, ax: viz.confusion_matrix(rng.integers(0, 10, 99), rng.integers(0, 10, 99), ax=ax),
    "confusion names": lambda rng, ax: viz.confusion_matrix([0, 1], [0, 0], ["ankle boot", "T-shirt"], ax),
    "confusion one class": lambda rng, ax: viz.confusion_matrix([0, 0], [0, 0], ax=ax),
    "confusion 25 classes": lambda rng, ax: viz.confusion_matrix(np.arange(25), np.arange(25), ax=ax),
}  # fmt: skip

FIGURES = {
    "curves": lambda rng, fig: viz.curves(rows(20), fig=fig),
    "curves one epoch": lambda rng, fig: viz.curves(rows(1, validation=False), fig=fig),
    "curves NaN": lambda rng, fig: viz.curves(rows(3, val_loss=NAN, val_accuracy=NAN), fig=fig, log=True),
    "histograms": lambda rng, fig: viz.histograms(small_model(), *points(rng), cross_entropy, fig=fig),
    "histograms forward only": lambda rng, fig: viz.histograms(small_model(dtype=np.float64), points(rng)[0], fig=fig),
    "histograms NaN": lambda rng, fig: viz.histograms(broken(), *points(rng, 4), cross_entropy, fig=fig),
    "histograms one sample": lambda rng, fig: viz.histograms(
        small_model()[3:], rng.normal(size=(1, 8)), [2], cross_entropy, fig=fig),
    "histograms limited": lambda rng, fig: viz.histograms(small_model(), points(rng)[0], fig=fig, limit=3),
    "histograms constant": lambda rng, fig: viz.histograms(small_model()[:2], np.zeros((3, 2)), fig=fig),
    "inspect": lambda rng, fig: viz.inspect(small_model(), *points(rng), cross_entropy, fig=fig),
    "inspect NaN": lambda rng, fig: viz.inspect(broken(), *points(rng), cross_entropy, fig=fig),
    "inspect images": lambda rng, fig: viz.inspect(image_model(), rng.normal(size=(2, 1, 6, 6)), fig=fig),
    "inspect constant": lambda rng, fig: viz.inspect(nn.ReLU(), np.full((2, 3), -1.0), fig=fig),
    "signal": lambda rng, fig: viz.signal(
        {"He": nn.init.kaiming_normal_, "zeros": nn.init.zeros_, "huge": lambda w: nn.init.normal_(w, std=1e9)},
        fig=fig, depth=6, width=20, batch=10),
}  # fmt: skip


def still():
    """Ratios of a model whose weights do not move."""
    model, ratios = small_model(), viz.UpdateRatios()
    for _ in range(2):
        ratios.before(model)
        ratios.after(model)
    return ratios


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_is_drawn_alone_and_into_given_axes(name, rng):
    ax = PANELS[name](rng, None)
    assert isinstance(ax, Axes)
    assert ax.get_title(loc="left") or name.startswith("images")
    legible(ax.figure, name)
    _, axes = plt.subplots(1, 2, figsize=(9, 4))
    count = len(plt.get_fignums())
    assert PANELS[name](rng, axes[1]) is axes[1]
    assert len(plt.get_fignums()) == count and not axes[0].has_data()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_alone_and_into_a_part_of_another(name, rng):
    fig = FIGURES[name](rng, None)
    assert isinstance(fig, Figure) and fig.axes
    legible(fig, name)
    part = plt.figure(figsize=(10, 8), layout="constrained").subfigures(1, 2)[0]
    count = len(plt.get_fignums())
    assert FIGURES[name](rng, part) is part
    assert len(plt.get_fignums()) == count


def test_every_public_picture_is_in_the_tables():
    drawn = {name.split()[0] for name in [*PANELS, *FIGURES]}
    drawn |= {"decision_boundary", "function_and_gradient", "confusion_matrix"}
    data = "UpdateRatios Vertex belief_map best_epoch collect_layers collect_signal confusion_counts confusion_table " \
           "dead_units find_mistakes graph_dot graph_text history_columns saturation trace values_and_gradients"
    assert set(viz.__all__) - set(data.split()) - {"training_report"} <= drawn
    assert all(getattr(viz, name).__doc__ for name in viz.__all__)


def test_import_minidl_leaves_matplotlib_alone():
    code = "import sys, minidl; assert 'matplotlib' not in sys.modules; minidl.viz; assert 'matplotlib' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- Nothing is left behind -----------------------------------------------------------------------------------------


def snapshot(model):
    return {
        "state": {k: v.tobytes() for k, v in model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        "requires": [p.requires_grad for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [dict(m._hooks) for m in model.modules()],
        "streams": minidl.random.get_state(),
        "numpy": np.random.get_state()[1].tobytes(),  # noqa: NPY002
        "own": model[6].rng.bit_generator.state,
        "recording": minidl.is_grad_enabled(),
    }


LOOKS = {
    "collect_layers": lambda m, x, y: viz.collect_layers(m, x, y, cross_entropy),
    "histograms": lambda m, x, y: viz.histograms(m, x, y, cross_entropy),
    "inspect": lambda m, x, y: viz.inspect(m, x),
    "find_mistakes": lambda m, x, y: viz.find_mistakes(m, x, y),
    "filters": lambda m, x, y: viz.filters(m),
    "graph": lambda m, x, y: viz.graph(m[5](Tensor(np.ones((1, 144), np.float32))), m),
    "training_report": lambda m, x, y: viz.training_report(rows(2), m, x, y),
    "signal": lambda m, x, y: viz.collect_signal({"He": nn.init.kaiming_normal_}, depth=2, width=5, batch=3),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("look", LOOKS)
def test_looking_changes_nothing(look, training, rng):
    model, x, y = image_model(), rng.normal(size=(5, 1, 6, 6)).astype(np.float32), np.array([0, 1, 2, 0, 1])
    minidl.random.generator("dropout").random()
    cross_entropy(model(Tensor(x)), Tensor(y)).backward()
    model[0].requires_grad_(False)
    model.train(training)
    model[3].training = not training
    model[2].register_forward_hook(lambda *a: None)
    before, inputs = snapshot(model), x.copy()
    LOOKS[look](model, x, y)
    assert snapshot(model) == before
    np.testing.assert_array_equal(x, inputs)


@pytest.mark.parametrize("guilty", ["loss", "forward"])
def test_nothing_is_left_behind_by_an_error(guilty, rng):
    model, x = image_model(), rng.normal(size=(5, 1, 6, 6)).astype(np.float32)
    before = snapshot(model)

    def fails(output, y):
        raise RuntimeError("broken")

    with pytest.raises((RuntimeError, ValueError)):
        viz.collect_layers(model, x if guilty == "loss" else x[:, :, :3], [0] * 5, fails)
    assert snapshot(model) == before
    with pytest.raises(RuntimeError), untouched(model, training=False):
        model[1].running_mean._writable()[...] = 9
        raise RuntimeError
    assert snapshot(model) == before


# --- Histories ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "history, monitor, best",
    [
        ({"loss": [3.0, 1.0, 2.0]}, None, (2, 1.0)),
        ({"loss": [3.0, 1.0, 2.0], "val_loss": [5.0, 5.0, 4.0]}, None, (3, 4.0)),
        ({"loss": [3.0, 1.0], "val_accuracy": [0.9, 0.2]}, "val_accuracy", (1, 0.9)),
        ({"loss": [NAN, 2.0, 2.0, -np.inf]}, None, (2, 2.0)),
        ({"epoch": [11, 12], "loss": [2.0, 1.0]}, None, (12, 1.0)),
        ({"loss": [NAN, None]}, None, None),
    ],
)
def test_the_best_epoch(history, monitor, best):
    assert viz.best_epoch(history, monitor) == best
    as_rows = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
    assert viz.best_epoch(as_rows, monitor) == best


def test_curves_show_the_columns():
    history = rows(6, note="text")
    ax = viz.curve(history)
    drawn = {line.get_label(): line.get_xydata().T for line in ax.lines}
    np.testing.assert_array_equal(drawn["training"], [range(1, 7), [r["loss"] for r in history]])
    np.testing.assert_array_equal(drawn["validation"], [range(1, 7), [r["val_loss"] for r in history]])
    k = int(np.argmin([r["val_loss"] for r in history]))
    ring = next(xy for label, xy in drawn.items() if label.startswith(f"best epoch: {k + 1} "))
    assert tuple(ring[:, 0]) == (k + 1, history[k]["val_loss"])
    assert [a.get_title(loc="left") for a in viz.curves(history).axes] == ["Loss", "Accuracy"]
    said = viz.curve(rows(3, loss=NAN)).texts
    assert [t.get_text() for t in said] == ["training: not finite in epoch 3"]


def test_curves_of_a_real_run(rng):
    model, (x, y) = small_model(), points(rng, 20)
    history = fit(model, (x, y), loss=cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=2,
                  validation=(x, y), metrics="accuracy", batch_size=10, progress=False)  # fmt: skip
    columns = viz.history_columns(history)
    assert columns["val_accuracy"].tolist() == history["val_accuracy"] and columns["loss"].dtype == np.float64
    assert len(viz.curves(history).axes) == 2


# --- Boundaries -----------------------------------------------------------------------------------------------------


def test_probabilities_are_sigmoid_and_softmax(rng):
    z = rng.normal(size=(7, 3)) * 4
    softmax = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities(lambda x: x, z), softmax, rtol=1e-12)
    np.testing.assert_allclose(probabilities(lambda x: x, softmax, logits=False), softmax, rtol=1e-12)
    sigmoid = 1 / (1 + np.exp(-z[:, 0]))
    for shape in (7,), (7, 1):
        p = probabilities(lambda x, shape=shape: x[:, 0].reshape(shape), z)
        np.testing.assert_allclose(p, np.stack([1 - sigmoid, sigmoid], 1), rtol=1e-12)
    assert np.isfinite(probabilities(lambda x: x * 1e4, z)).all()


def test_the_belief_map_is_the_model_on_a_grid(rng):
    x = rng.normal(size=(9, 2))
    belief = viz.belief_map(lambda t: t[:, 0] - 2 * t[:, 1], x, resolution=11)
    assert belief["x"][0] < x[:, 0].min() and belief["x"][-1] > x[:, 0].max()
    i, j = 3, 7  # rows along y
    expected = 1 / (1 + np.exp(-(belief["x"][j] - 2 * belief["y"][i])))
    np.testing.assert_allclose(belief["probabilities"][i, j, 1], expected, rtol=1e-12)


def test_shading_is_white_where_undecided_grey_where_unknown():
    p = np.array([[[0.5, 0.5], [1, 0], [0, 1], [NAN, NAN]]])
    white, first, second, unknown = shading(p, style.CLASSES)[0]
    np.testing.assert_allclose(white, 1)
    np.testing.assert_allclose(unknown, style.to_rgb(style.PALE))
    np.testing.assert_allclose(1 - first, 0.45 * (1 - np.array(style.to_rgb(style.CLASSES[0]))))
    assert np.abs(first - second).max() > 0.2


def test_wrong_points_are_counted():
    x, y = np.array([[-1, 0], [1, 0], [2, 0]], np.float32), [0, 1, 0]
    ax = viz.decision_boundary(lambda t: t[:, 0], x, y, resolution=10)
    assert ax.get_legend_handles_labels()[1] == ["0", "1", "wrong: 1 of 3"]
    assert len(viz.decision_boundary(lambda t: t[:, 0], x, [-1, 1, 1], resolution=10).get_legend().get_texts()) == 2


# --- Graphs ---------------------------------------------------------------------------------------------------------


def test_the_trace_is_the_recorded_graph():
    w, b = (Tensor(np.ones(shape), requires_grad=True) for shape in ((3, 2), 3))
    h = Tensor(np.ones((4, 2))) @ w.T + b
    out = (h * h).sum()
    found = [(v.kind, v.operation, v.name, v.shape, v.parents) for v in viz.trace(out, {"w": w, "b": b, "h": h})]
    assert found == [
        ("leaf", "", "w", (3, 2), []),
        ("operation", "permute", "", (2, 3), [(0, "x")]),
        ("operation", "matmul", "", (4, 3), [(1, "y")]),
        ("leaf", "", "b", (3,), []),
        ("operation", "add", "h", (4, 3), [(2, "x"), (3, "y")]),
        ("operation", "mul", "", (4, 3), [(4, "x"), (4, "y")]),
        ("operation", "sum", "", (), [(5, "x")]),
    ]
    assert "h  (4, 3) = add(x=%2, y=b)" in viz.graph_text(out, {"w": w, "b": b, "h": h}).splitlines()
    dot = viz.graph_dot(out, {'say "w"': w})
    assert dot.count("->") == 7 and r'label="say \"w\"\n(3, 2)"' in dot
    texts = [t.get_text() for t in viz.graph(out, {"w": w}).texts]
    assert "w\n(3, 2)" in texts and "×2" in texts and "sum" in texts


def test_names_come_from_a_module_and_a_long_chain_is_walked_without_recursion():
    model = small_model()
    names = [v.name for v in viz.trace(model(Tensor(np.ones((1, 2), np.float32))), model) if v.kind == "leaf"]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    x = y = Tensor([1.0], requires_grad=True)
    for _ in range(3000):
        y = y + 0.0
    assert len(viz.graph_text(y).splitlines()) == 3001
    with pytest.raises(ValueError, match=r"3001 operations and leaves.*limit=80.*graph_text"):
        viz.graph(y)
    assert x.grad is None


def random_parents(rng, n):
    return [sorted(rng.integers(0, k, min(k, rng.integers(0, 4))).tolist()) for k in range(n)]


def test_layers_are_longest_paths(rng):
    parents = random_parents(rng, 25)
    children = [[c for c, ps in enumerate(parents) if v in ps] for v in range(25)]

    def longest(v):
        return max((1 + longest(c) for c in children[v]), default=0)

    assert graph_layout.longest_path_layers(parents) == [longest(v) for v in range(25)]


def test_a_layout_has_no_overlaps_and_every_edge_goes_down_layer_by_layer(rng):
    for _ in range(3):
        parents, widths = random_parents(rng, 30), rng.uniform(0.3, 1.5, 30)
        layout = graph_layout.lay_out(parents, list(widths), bend=0.1, gap=0.2)
        wide = np.concatenate([widths, np.full(len(layout.x) - 30, 0.1)])
        for row in layout.order:
            space = np.diff(layout.x[row]) - (wide[row][1:] + wide[row][:-1]) / 2
            assert (space > 0.2 - 1e-9).all()
        for child, ps in enumerate(parents):
            for parent in set(ps):
                route = layout.routes[parent, child]
                assert route[0] == parent and route[-1] == child
                assert (np.diff(layout.layer[route]) == -1).all()


def test_crossings_are_counted_and_taken_away():
    links, tangled = [[], [], [], [2], [1], [0]], [[3, 4, 5], [0, 1, 2]]
    assert graph_layout.crossings(tangled, links) == 3
    downs = [[5], [4], [3], [], [], []]
    assert graph_layout.crossings(graph_layout._reduce_crossings(tangled, links, downs), links) == 0
    assert graph_layout.crossings([[2, 3], [0, 1]], [[], [], [0, 1], [0, 1]]) == 1


def test_places_are_the_nearest_without_overlap(rng):
    wish, widths, weights = rng.normal(size=12), rng.uniform(0.1, 1, 12), rng.uniform(0.1, 2, 12)
    offset = np.concatenate([[0], np.cumsum((widths[1:] + widths[:-1]) / 2 + 0.1)])
    free = wish - offset

    def mean(j, k):
        return np.average(free[j : k + 1], weights=weights[j : k + 1])

    expected = offset + [max(min(mean(j, k) for k in range(i, 12)) for j in range(i + 1)) for i in range(12)]
    np.testing.assert_allclose(graph_layout.separate(wish, widths, weights, 0.1), expected, rtol=1e-9, atol=1e-9)


def test_boxes_hold_their_text():
    names = {}
    x = names["a rather long name of a parameter"] = Tensor(np.ones((128, 64, 3, 3)), requires_grad=True)
    ax = viz.graph((x * names.setdefault("iiii", Tensor([1.0], requires_grad=True))).mean(), names)
    ax.figure.canvas.draw()
    for text, box in zip(ax.texts, [p for p in ax.patches if hasattr(p, "get_boxstyle")], strict=True):
        inner, outer = text.get_window_extent(), box.get_window_extent()
        assert outer.x0 < inner.x0 and inner.x1 < outer.x1 and outer.y0 < inner.y0 and inner.y1 < outer.y1


# --- Layers ---------------------------------------------------------------------------------------------------------


def test_activations_and_gradients_are_those_of_the_chain_rule(rng):
    model = nn.Sequential(nn.Linear(2, 4, dtype=np.float64), nn.Tanh(), nn.Linear(4, 1, dtype=np.float64))
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
    model[0].requires_grad_(False)
    (w1, b1), (w2, b2) = ((m.weight.numpy(), m.bias.numpy()) for m in (model[0], model[2]))
    a = x @ w1.T + b1
    h = np.tanh(a)
    out = h @ w2.T + b2
    d_out = 2 * (out - y) / 6
    d_h = d_out @ w2
    d_a = d_h * (1 - h * h)  # also for a frozen layer
    found = viz.collect_layers(model, x, y, lambda o, t: ((o - t) ** 2).mean())
    assert [(r["name"], r["kind"]) for r in found] == [("0", "Linear"), ("1", "Tanh"), ("2", "Linear")]
    for row, value, gradient in zip(found, (a, h, out), (d_a, d_h, d_out), strict=True):
        np.testing.assert_allclose(row["activation"], value, rtol=1e-12)
        np.testing.assert_allclose(row["gradient"], gradient, rtol=1e-10)
        np.testing.assert_allclose([row["mean"], row["std"], row["gradient_std"]],
                                   [value.mean(), value.std(), gradient.std()], rtol=1e-9)  # fmt: skip
        assert row["finite"] == 1
    assert all(row["gradient"] is None for row in viz.collect_layers(model, x))


def test_dead_units_are_counted(rng):
    model = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 2))
    model[0].bias.data[[1, 4, 7]] = -1e3
    x = rng.normal(size=(50, 3)).astype(np.float32)
    h = np.maximum(x @ model[0].weight.numpy().T + model[0].bias.numpy(), 0)
    expected = (h.max(axis=0) == 0).mean()
    assert expected >= 0.3
    row = viz.collect_layers(model, x)[1]
    assert row["dead"] == pytest.approx(expected) and row["saturated"] is None
    images = np.zeros((2, 4, 3, 3))
    images[1, 2, 0, 0] = 1
    assert viz.dead_units(images).tolist() == [True, True, False, True]
    assert viz.dead_units(np.eye(3)[:2][None]).tolist() == [False, False, True]


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.Sigmoid(), nn.Sigmoid(beta=2.0)])
def test_saturation_is_a_flat_slope(layer, rng):
    x = Tensor(4 * rng.normal(size=(40, 5)), requires_grad=True)
    (slope,) = minidl.grad(layer(x).sum(), x)
    (top,) = minidl.grad(layer(zero := Tensor(np.zeros(1), requires_grad=True)).sum(), zero)
    expected = np.mean(slope.numpy() < 0.05 * top.item())
    assert 0.1 < expected < 0.9
    (row,) = viz.collect_layers(layer, x)
    assert row["saturated"] == pytest.approx(expected) and row["dead"] is None and row["name"] == "model"


def test_a_layer_called_twice_has_two_rows_and_a_nan_is_counted(rng):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(self.layer(x))

    x = np.array([[1, 2], [NAN, 0]], np.float32)
    found = viz.collect_layers(Twice(), x)
    assert [r["name"] for r in found] == ["layer", "layer (2)"]
    assert [r["finite"] for r in found] == [0.5, 0.5]


# --- Updates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3])
def test_update_ratios_in_fit_are_those_of_the_weights(every, rng):
    model, (x, y) = small_model(), points(rng, 20)
    model[0].bias.data = np.zeros(8, np.float32)
    seen = []
    copy = {"on_gradient": lambda run: seen.append([p.numpy().copy() for p in model.parameters()])}
    copy["on_batch_end"] = copy["on_gradient"]
    ratios = viz.UpdateRatios(every)
    fit(model, (x, y), loss=cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=2, batch_size=5,
        callbacks=[Callback(**copy), ratios], progress=False)  # fmt: skip
    assert [row["step"] for row in ratios.rows] == list(range(1, 9, every))
    assert ratios.weights == ["0.weight", "2.weight", "4.weight"]
    for row in ratios.rows:
        for k, (name, _) in enumerate(model.named_parameters()):
            old, new = (seen[2 * (row["step"] - 1) + side][k].astype(np.float64) for side in (0, 1))
            size = np.sqrt((old**2).sum())
            np.testing.assert_allclose(row[name], np.sqrt(((new - old) ** 2).sum()) / size if size else NAN, rtol=1e-9)
    assert np.isnan(ratios.rows[0]["0.bias"]) and not np.isnan(ratios.rows[-1]["0.bias"])
    again = viz.UpdateRatios(every)
    again.load_state_dict(ratios.state_dict())
    assert again.rows == ratios.rows or np.isnan(again.rows[0]["0.bias"])
    ax = viz.update_ratios(again)
    assert [line.get_label() for line in ax.lines[:3]] == ratios.weights
    assert ax.lines[3].get_ydata()[0] == 1e-3 and ax.get_yscale() == "log"


# --- Initialisers, functions ----------------------------------------------------------------------------------------


def test_the_signal_is_that_of_a_direct_computation():
    def initialise(w):
        nn.init.kaiming_normal_(w, rng=5)

    found = viz.collect_signal({"He": initialise, "zeros": nn.init.zeros_}, depth=4, width=30, batch=20, rng=1)
    weight = Tensor(np.zeros((30, 30), np.float32))
    initialise(weight)
    w = weight.numpy().astype(np.float64)
    h, g = np.random.default_rng(1).standard_normal((2, 20, 30))
    layers, gradients = [], []
    for _ in range(4):
        h = np.maximum(h @ w.T, 0)
        layers.append(h)
    for h in reversed(layers):
        gradients.append(g.std())
        g = (g * (h > 0)) @ w
    np.testing.assert_allclose(found["He"]["activation"], [h.std() for h in layers], rtol=1e-5)
    np.testing.assert_allclose(found["He"]["gradient"], gradients[::-1], rtol=1e-5)
    assert found["zeros"]["activation"] == [0] * 4 and found["zeros"]["gradient"][:3] == [0] * 3


def test_values_and_gradients_of_activations():
    line = viz.values_and_gradients(minidl.tanh, (-2, 3), points=7)
    np.testing.assert_allclose(line["x"], np.linspace(-2, 3, 7))
    np.testing.assert_allclose(line["value"], np.tanh(line["x"]))
    np.testing.assert_allclose(line["gradient"], 1 - np.tanh(line["x"]) ** 2)
    assert line["value"].dtype == np.float64
    with minidl.no_grad():
        assert viz.values_and_gradients(nn.ReLU(), (-1, 1), points=3)["gradient"].tolist() == [0, 0, 1]


# --- Images, filters, confusion -------------------------------------------------------------------------------------


def tile(ax, height, width):
    """The first tile of a sheet, at its original size."""
    finer = max(1, 24 // min(height, width))
    return np.asarray(ax.images[0].get_array())[: finer * height : finer, : finer * width : finer]


def test_images_are_shown_as_they_are():
    grey = np.array([[[0.0, 0.25], [0.5, 0.75]]])
    np.testing.assert_allclose(tile(viz.images(grey), 2, 2), np.repeat(grey[0][..., None], 3, -1))
    np.testing.assert_allclose(tile(viz.images(4 * grey - 2), 2, 2), np.repeat(grey[0][..., None] / 0.75, 3, -1))
    rgb = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2) * 20
    np.testing.assert_allclose(tile(viz.images(rgb), 2, 2), np.moveaxis(rgb[0], 0, -1) / 255)
    np.testing.assert_allclose(tile(viz.images(Tensor(rgb / 255)), 2, 2), np.moveaxis(rgb[0], 0, -1) / 255)
    hurt = np.array([[[0.1, NAN], [0.2, 0.3]]])
    np.testing.assert_allclose(tile(viz.images(hurt), 2, 2)[0], [[0.1] * 3, style.to_rgb(style.ORANGE)])


def test_captions_say_what_is_wrong():
    ax = viz.images(np.zeros((3, 4, 4)), [0, 1, 1], [0, 0, 1], classes=["cat", "dog"])
    assert [t.get_text() for t in ax.texts] == ["cat", "cat, is dog", "dog"]
    assert [t.get_color() == style.VERMILLION for t in ax.texts] == [False, True, False]
    assert [t.get_text() for t in viz.images(np.zeros((9, 4, 4)), range(9), limit=2).texts] == ["0", "1"]


def test_mistakes_are_the_most_confident_first():
    logits = np.array([[9.0, 0], [0, 3], [5, 0], [NAN, 0], [0, 8]])
    found = viz.find_mistakes(lambda x: logits[x.numpy()[:, 0].astype(int)], np.arange(5.0)[:, None], [0, 0, 1, 0, 0])
    assert found["indices"].tolist() == [4, 2, 1, 3] and found["total"] == 4
    assert found["labels"].tolist() == [0, 1, 0, 0] and found["predictions"].tolist()[:3] == [1, 0, 1]
    np.testing.assert_allclose(found["confidences"][:3], 1 / (1 + np.exp(-np.array([8.0, 5.0, 3.0]))))
    assert found["images"].tolist() == [[4], [2], [1], [3]]


def test_filters_are_blue_white_orange():
    weights = np.array([[[[-2.0, 0], [1, 2]]]])
    colours = tile(viz.filters(weights), 2, 2)
    np.testing.assert_allclose(colours[0, 0], style.to_rgb(style.BLUE), atol=0.01)
    np.testing.assert_allclose(colours[0, 1], 1, atol=0.01)
    np.testing.assert_allclose(colours[1, 1], style.to_rgb(style.VERMILLION), atol=0.01)
    np.testing.assert_allclose(colours[1, 0], (1 + np.array(style.to_rgb(style.VERMILLION))) / 2, atol=0.01)
    rgb = np.stack([np.eye(2), -np.eye(2), 0 * np.eye(2)])[None]
    np.testing.assert_allclose(tile(viz.filters(rgb), 2, 2)[0, 0], [1, 0, 0.5])


def test_confusion_is_counted(rng):
    y, predictions = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    counts = viz.confusion_counts(Tensor(y), predictions)
    assert counts.tolist() == [[sum((y == i) & (predictions == j)) for j in range(5)] for i in range(5)]
    table = [line.split() for line in viz.confusion_table(y, predictions).splitlines()]
    assert [int(c) for c in table[3][1:6]] == counts[2].tolist()
    both = (y, predictions), (predictions, y)
    recall, precision = ([100 * np.mean(b[a == k] == k) for k in range(5)] for a, b in both)
    np.testing.assert_allclose([int(line[6]) for line in table[1:6]], recall, atol=0.51)
    np.testing.assert_allclose([int(c) for c in table[6][2:]], precision, atol=0.51)
    texts = [t.get_text() for t in viz.confusion_matrix(y, predictions).texts]
    assert sorted(map(int, texts)) == sorted(counts[counts > 0].tolist())
    assert viz.confusion_counts([0], [0], count=3).shape == (3, 3)
    assert "-" in viz.confusion_table([0], [0], ["seen", "unseen"]).splitlines()[2]


# --- The report -----------------------------------------------------------------------------------------------------


def flat_model(features):
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 3))


REPORTS = {
    "convolution": (image_model, (6, 1, 6, 6), 2, 4),
    "linear": (lambda: flat_model(36), (6, 1, 6, 6), 1, 4),
    "no filters": (lambda: flat_model(35), (6, 1, 5, 7), 3, 3),
    "no images": (lambda: nn.Linear(2, 3), (6, 2), 3, 2),
    "one image, RGB": (lambda: flat_model(48), (1, 3, 4, 4), 1, 4),
}


@pytest.mark.parametrize("case", REPORTS)
def test_the_report_draws_what_there_is(case, rng, tmp_path):
    make, shape, epochs, panels = REPORTS[case]
    open_before, path = plt.get_fignums(), tmp_path / "report.png"
    x = rng.normal(size=shape).astype(np.float32)
    fig = viz.training_report(rows(epochs), make(), x, np.zeros(len(x), int), path, ["a", "b", "c"], title="A run")
    assert len(fig.axes) == panels
    assert plt.get_fignums() == open_before, "a report is not pyplot's"
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    legible(fig)


def test_a_report_without_samples_and_without_mistakes(rng):
    assert len(viz.training_report(rows(3, validation=False), nn.Linear(2, 3)).axes) == 2
    x = np.zeros((4, 1, 2, 2), np.float32)
    fig = viz.training_report([{"epoch": 1, "loss": NAN}], lambda t: t.reshape(4, 4) + np.eye(4)[0], x, [0] * 4)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["Loss", "0 of 4 wrong"]


# --- Errors ---------------------------------------------------------------------------------------------------------

X, Y = np.zeros((4, 2), np.float32), np.zeros(4, int)
ERRORS = {
    "empty history": (lambda: viz.curves([]), "history is empty"),
    "no such column": (lambda: viz.curve(rows(2), "f1"), "no column 'f1'; it has epoch"),
    "no metric": (lambda: viz.curves([{"epoch": 1, "lr": 0.1}]), "no metric, only epoch, lr"),
    "three coordinates": (lambda: viz.decision_boundary(small_model(), np.zeros((4, 3)), Y), r"\(N, 2\), not \(4, 3\)"),
    "lengths": (lambda: viz.decision_boundary(small_model(), X, Y[:2]), "4 points but 2 labels"),
    "half labels": (lambda: viz.decision_boundary(small_model(), X, Y + 0.5), "whole numbers"),
    "one-hot labels": (lambda: viz.confusion_counts(np.eye(3), [0, 1, 2]), "argmax"),
    "negative labels": (lambda: viz.confusion_counts([-3, 0], [0, 0]), "the least is -3"),
    "no samples": (lambda: viz.confusion_counts([], []), "0 labels and 0 predictions"),
    "few names": (lambda: viz.decision_boundary(small_model(), X, Y, classes=["a"]), "1 class names for 3 classes"),
    "not probabilities": (lambda: probabilities(lambda x: x + 5, X, logits=False), "logits=False"),
    "an image as output": (lambda: probabilities(lambda x: x.reshape(2, 2, 2), X), "this returned"),
    "nothing recorded": (lambda: viz.graph(Tensor([1.0])), "no graph was recorded"),
    "freed": (lambda: viz.graph(freed()), "before backward"),
    "names": (lambda: viz.graph(scalar_graph()[0], {"a": 1}), "'a' is int"),
    "y without loss": (lambda: viz.collect_layers(small_model(), X, Y), "both y and loss"),
    "no batch": (lambda: viz.histograms(small_model()), "give a batch"),
    "only reshaping": (lambda: viz.inspect(nn.Flatten(), X), "no module with an output"),
    "no saturation": (lambda: viz.saturation(X, "ReLU"), "not for 'ReLU'"),
    "every": (lambda: viz.UpdateRatios(every=0), "every is a number of steps"),
    "no steps": (lambda: viz.update_ratios(viz.UpdateRatios()), "no step was measured"),
    "unknown parameter": (lambda: viz.update_ratios(still(), ["w"]), "no ratios of w were measured; there are 0.w"),
    "not elementwise": (lambda: viz.function_and_gradient(lambda x: x.sum()), "elementwise"),
    "range": (lambda: viz.function_and_gradient(minidl.tanh, (1, 1)), "low < high"),
    "no images": (lambda: viz.images(np.zeros((3, 2, 4, 4))), r"images are \(N, H, W\)"),
    "image labels": (lambda: viz.images(np.zeros((3, 4, 4)), [1, 2]), "3 images but 2 labels"),
    "no filters": (lambda: viz.filters(nn.Linear(5, 3)), r"got weight \(3, 5\)"),
    "report ending": (lambda: viz.training_report(rows(1), small_model(), path="report"), "ending .png"),
}


def freed():
    out = scalar_graph()[0]
    out.backward()
    return out


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case):
    call, message = ERRORS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
