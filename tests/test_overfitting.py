"""Bias and variance: an identity, closed forms, the pictures of over-fitting, and the benchmark of its cures."""

import importlib
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from minidl import Tensor, kernels, manual_seed, nn, viz  # noqa: E402
from minidl.train import bias_variance  # noqa: E402
from minidl.viz import style  # noqa: E402


@pytest.fixture(autouse=True)
def no_figures_are_left():
    yield
    plt.close("all")


# --- The decomposition ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 1), (7, 5), (4, 6, 3)])
def test_the_parts_add_up_exactly(shape, rng):
    f, t = rng.normal(size=shape), rng.normal(size=shape[1:])
    parts = bias_variance(f, t, noise=0.7)
    assert parts["total"] == pytest.approx(0.7 + ((f - t) ** 2).mean(), rel=1e-12)
    slow = sum((t[i] - sum(f[r][i] for r in range(len(f))) / len(f)) ** 2 for i in np.ndindex(t.shape)) / t.size
    assert parts["bias2"] == pytest.approx(slow, rel=1e-12)
    assert list(parts) == ["noise", "bias2", "variance", "total"] and all(type(v) is float for v in parts.values())


def test_models_that_agree_have_no_variance_and_models_that_are_right_no_bias(rng):
    t = rng.normal(size=9)
    same = bias_variance(np.tile(t + 2, (5, 1)), t)
    assert (same["bias2"], same["variance"]) == pytest.approx((4, 0), abs=1e-12)
    off = rng.normal(size=(3, 9))
    around = bias_variance(np.concatenate([t + off, t - off]), t)
    assert (around["bias2"], around["variance"]) == pytest.approx((0, (off**2).mean()), abs=1e-12)


@pytest.mark.parametrize("strength", [0.0, 30.0])
def test_ridge_regression_has_the_bias_and_variance_of_its_closed_form(strength, rng):
    """w = A y with A = (X'X + s)^-1 X', so at points P: bias = P (A X - 1) w*, variance = sigma^2 diag(P A A' P')."""
    n, d, sigma, repeats = 40, 6, 0.8, 4000
    X, P, w = rng.normal(size=(n, d)), rng.normal(size=(25, d)), rng.normal(size=d)
    A = np.linalg.solve(X.T @ X + strength * np.eye(d), X.T)
    y = X @ w + sigma * rng.normal(size=(repeats, n))  # a training set a row: the same places, new noise
    parts = bias_variance(y @ A.T @ P.T, P @ w, noise=sigma**2)
    bias2 = ((P @ (A @ X - np.eye(d)) @ w) ** 2).mean()
    variance = sigma**2 * ((P @ A) ** 2).sum(axis=1).mean()
    assert parts["variance"] == pytest.approx(variance * (1 - 1 / repeats), rel=0.03)
    assert parts["bias2"] == pytest.approx(bias2 + variance / repeats, rel=0.05, abs=variance / repeats)
    assert (bias2 < 1e-20) == (strength == 0)  # least squares is unbiased
    fresh = P @ w + sigma * rng.normal(size=(repeats, len(P)))
    measured = ((fresh - y @ A.T @ P.T) ** 2).mean()
    assert parts["total"] == pytest.approx(measured, rel=0.02)


def test_noisy_targets_put_the_noise_into_the_bias(rng):
    t = rng.normal(size=20_000)
    f = t + rng.normal(0, 0.5, size=(4, t.size))
    noisy = bias_variance(f, t + rng.normal(size=t.size))
    assert noisy["bias2"] - bias_variance(f, t)["bias2"] == pytest.approx(1, abs=0.05)


def test_the_number_of_models_is_seen_in_the_bias(rng):
    """The mean of R models varies by variance / R: that much of an unbiased model's bias is not its own."""
    f = rng.normal(size=(5, 40_000))
    assert bias_variance(f, np.zeros(40_000))["bias2"] == pytest.approx(1 / 5, rel=0.05)


def test_tensors_and_float32_are_counted_in_float64():
    f = np.float32([[1e4, 1], [1e4 + 1, 3]])
    parts = bias_variance(Tensor(f), Tensor(np.float32([1e4, 2])))
    assert parts["variance"] == 0.625 and parts["bias2"] == 0.125


@pytest.mark.parametrize(
    "f, t, noise, message",
    [
        (np.zeros((3, 4)), np.zeros(5), 0.0, r"\(R, N, \.\.\.\).*\(3, 4\).*\(5,\)"),
        (np.zeros(4), np.zeros(4), 0.0, "R models at the points"),
        (np.zeros((3, 0)), np.zeros(0), 0.0, "R models at the points"),
        (np.zeros((1, 4)), np.zeros(4), 0.0, "at least two"),
        (np.zeros((3, 4)), np.zeros(4), -1.0, "noise is a variance"),
        (np.zeros((3, 4)), np.zeros(4), float("nan"), "noise is a variance"),
    ],
)
def test_what_does_not_fit_is_said(f, t, noise, message):
    with pytest.raises(ValueError, match=message):
        bias_variance(f, t, noise)


# --- The pictures ---------------------------------------------------------------------------------------------------

PARTS = [{"noise": 0.1, "bias2": b, "variance": v, "total": 0.1 + b + v} for b, v in ((1, 0.1), (0.3, 0.2), (0, 2))]
SCORES = np.array([[0.5, 0.7], [0.8, 0.8], [0.95, 0.85]])


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_validation_curve_marks_the_best_mean():
    ax = viz.validation_curve([0.01, 0.1, 1], SCORES, SCORES[::-1] - 0.1, score="accuracy", name="strength", log=True)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.6, 0.8, 0.9])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.8, 0.7, 0.5])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.5, 0.95))  # the std of two is half their distance
    assert labels(ax) == ["training", "validation", "best: 0.01"] and ax.get_xscale() == "log"
    assert ax.get_ylabel() == "accuracy (%)" and ax.get_xlabel() == "strength"
    assert labels(viz.validation_curve([1, 2, 3], [3, 2, 1], [3.0, 1.5, 2]))[-1] == "best: 2"  # of a loss, the least
    assert labels(viz.validation_curve([1, 2, 3], [3, 2, 1], [np.nan, 1.5, 2]))[-1] == "best: 2"


def test_names_stand_side_by_side():
    ax = viz.validation_curve(["none", "a little", "much"], [1, 2, 3], [2, 1, 3.0])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["none", "a little", "much"]
    assert labels(ax)[-1] == "best: a little"


def test_a_learning_curve_shows_the_floor():
    ax = viz.learning_curve([10, 100, 1000], [0, 0.1, 0.2], [1, 0.5, 0.3], floor=0.25)
    assert ax.lines[-1].get_ydata()[0] == 0.25 and labels(ax)[-1].startswith("noise")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["10", "100", "1000"]


def test_bias_and_variance_are_drawn_with_their_least_sum():
    ax = viz.bias_variance([1, 3, 9], PARTS, test=[1.1, 0.65, 2.2], name="degree")
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["bias²"], [1, 0.3, np.nan])  # a zero has no place on a logarithmic axis
    np.testing.assert_allclose(drawn["expected error"], [1.2, 0.6, 2.1])
    np.testing.assert_allclose(drawn["measured"], [1.1, 0.65, 2.2])
    assert "best: 3" in drawn and ax.get_xlabel() == "degree" and ax.get_yscale() == "log"
    assert viz.bias_variance([1, 3, 9], PARTS, log=False).lines[0].get_ydata()[-1] == 0


DRAW = {
    "validation": lambda ax: viz.validation_curve([1, 2, 3], SCORES, SCORES, ax),
    "learning": lambda ax: viz.learning_curve([1, 2, 3], SCORES, SCORES, ax),
    "bias": lambda ax: viz.bias_variance([1, 2, 3], PARTS, ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_panel_is_drawn_into_given_axes_and_fits(name):
    fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    before = dict(matplotlib.rcParams)
    assert DRAW[name](axes[1]) is axes[1] and not axes[0].has_data() and isinstance(DRAW[name](None), Axes)
    fig.draw_without_rendering()
    assert fig.get_tightbbox().x1 < 9.02 and dict(matplotlib.rcParams) == before
    assert axes[1].lines[0].get_color() in (style.TRAIN, style.BLUE)


@pytest.mark.parametrize("call", [
    lambda: viz.validation_curve([1, 2], [1, 2, 3], [1, 2, 3]),
    lambda: viz.learning_curve([1, 2, 3], [1, 2, 3], [1, 2]),
    lambda: viz.validation_curve([], [], []),
    lambda: viz.bias_variance([1, 2], PARTS),
])  # fmt: skip
def test_scores_that_do_not_fit_the_values(call):
    with pytest.raises(ValueError, match=r"values but scores \(\w+\) of shape"):
        call()


# --- The benchmark that shows what helps ----------------------------------------------------------------------------

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    if not FOLDER.is_dir():
        pytest.skip("needs benchmarks/, which is not part of the package")
    monkeypatch.syspath_prepend(str(FOLDER))
    with kernels.using("numpy"):
        yield importlib.import_module("regularization")


@pytest.fixture
def task(benchmark):
    task = benchmark.digits()
    task.size, task.batch, task.epochs, task.width = 40, 20, 2, 2
    task.test = task.test.subset(np.arange(50))
    return task


def test_every_method_runs_and_starts_from_the_same_weights(benchmark, task):
    firsts = {}
    for name, method in benchmark.METHODS.items():
        assert {method.digits, method.images} <= set(method.tried), name
        parts = method.parts(method.digits, task)
        manual_seed(7)
        model = benchmark.network(task, task.pool.x[:40], **parts.net)
        firsts[name] = np.concatenate([w.numpy().ravel() for w in nn.weights(model)])
        row = benchmark.learn(task, name, 0, method.digits, task.test)
        assert 0 <= row["test"] <= 1 and row["trained"] <= 2 and row["method"] == name
    assert all(np.array_equal(w, firsts["none"]) for w in firsts.values())


def test_runs_are_kept_and_compared_seed_by_seed(benchmark, task, tmp_path, capsys, monkeypatch):
    done = []

    def learn(task, name, seed, strength, test):
        done.append((name, seed))
        better = {"none": 0.0, "mixup": 0.1, "L1": 0.001 * seed, "L2": 0.0}[name]
        return {"method": name, "strength": strength, "seed": seed, "epochs": task.epochs, "train": 1.0,
                "test": 0.1 * seed + better, "last": 0.0, "zero": better, "seconds": 1.0}  # fmt: skip

    monkeypatch.setattr(benchmark, "learn", learn)
    names, file = ["none", "L1", "L2", "mixup"], tmp_path / "new" / "runs.json"
    rows = benchmark.run(task, names, 2, benchmark.Book(file))
    assert len(done) == 8 and len(json.loads(file.read_text())["rows"]) == 8
    again = benchmark.run(task, names, 3, benchmark.Book(file))
    assert len(done) == 12 and again["mixup"][:2] == rows["mixup"], "what is in the file is not done again"
    benchmark.report(task, again)
    printed = capsys.readouterr().out
    assert "+10.0 ± 0.0" in printed  # the seeds differ by 10 each, the method by exactly 10 from none
    assert re.search(r"holds +\+10\.0 ± 0\.0  mixup is above none", printed)
    assert re.search(r"undecided +\+0\.1 ± 0\.1  L1 makes more weights zero", printed)
    benchmark.picture([(task, again)], tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
