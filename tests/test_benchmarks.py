"""The benchmarks at tiny settings: they run, compare equals and write what they print. No timing is asserted."""

import argparse
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs benchmarks/, which is not part of the package")


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def run(program, *arguments, **environment):
    """What the program prints."""
    command = [sys.executable, "-W", "error", str(FOLDER / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def results(program, tmp_path, *arguments):
    """What it prints, and what it writes."""
    file = tmp_path / "results.json"
    printed = run(program, *arguments, "--json", file)
    for private in (str(FOLDER.parent), str(Path.home()), os.uname().nodename if hasattr(os, "uname") else "\0"):
        assert private not in printed and private not in file.read_text()
    written = json.loads(file.read_text())
    assert written["benchmark"] == program
    return printed, written["results"]


@pytest.mark.programs
def test_steps(tmp_path):
    options = "--only tiny --contestants numpy --seconds 0.01 --threads 1 2 --kernels numpy".split()
    printed, (one, two) = results("steps.py", tmp_path, *options)
    assert printed.count("tiny") == 4 and printed.count("numpy ms") == 2
    assert one["machine"]["threads"]["minidl"] == 1 and two["machine"]["threads"]["minidl"] == 2
    assert one["machine"]["kernels"] == "numpy" and one["machine"]["cpu"] in printed
    for row in one["rows"] + two["rows"]:
        assert row["network"] == "tiny" and row["blocks"] >= 3 and row["goal"] > 0
        assert row["ratio"]["numpy"] == pytest.approx(row["ms"]["minidl"] / row["ms"]["numpy"])
    assert [row["pass"] for row in one["rows"]] == ["train", "infer"]


@pytest.mark.programs
def test_faults(tmp_path):
    pytest.importorskip("resource")
    printed, (one,) = results("memory.py", tmp_path, "--faults", "--only", "lenet", "--seconds", "0.01")
    (row,) = one["rows"]
    assert row["network"] == "lenet" and "lenet" in printed
    assert set(row["faults"]) == set(row["ms"]) == {"again", "fresh"} and row["ratio"]["fresh"] > 0


def test_steps_beside_torch(tmp_path, torch, capsys):
    import steps

    rows = steps.steps(argparse.Namespace(only=["tiny"], contestants=["torch"], seconds=0.01))
    assert rows[0]["ratio"]["torch"] > 0 and "<=0.65" in capsys.readouterr().out
    steps.picture([{"threads": 1, "blas": "free", "rows": rows}], tmp_path / "ratios.png")
    assert (tmp_path / "ratios.png").stat().st_size > 10_000


def test_steps_say_who_is_absent():
    import contestants

    assert contestants.missing(["numpy"]) == {}
    contestants.CONTESTANTS["nowhere"] = None
    try:
        assert "not installed" in contestants.missing(["nowhere"])["nowhere"]
    finally:
        del contestants.CONTESTANTS["nowhere"]


@pytest.mark.parametrize("name", ["tiny", "mlp", "lenet", "vgg", "resnet8"])
def test_torch_computes_the_same(name, torch, monkeypatch):
    import contestants
    from networks import NETWORKS, Network

    whole = Network.batch
    monkeypatch.setattr(Network, "batch", lambda self: whole(self, 8))
    contestants.check_equal(contestants.contestants(NETWORKS[name], ["torch"], NETWORKS[name].lr))


@pytest.mark.parametrize("name", ["tiny", "mlp"])
@pytest.mark.parametrize("other", ["numpy", "mygrad", "autograd"])
def test_the_others_compute_the_same(name, other):
    import contestants
    from networks import NETWORKS

    pytest.importorskip(other)
    contestants.check_equal(contestants.contestants(NETWORKS[name], [other], NETWORKS[name].lr))


def test_an_unequal_contestant_is_refused(monkeypatch):
    import contestants
    from networks import NETWORKS

    found = contestants.contestants(NETWORKS["tiny"], ["numpy"], lr=0.1)
    monkeypatch.setattr(contestants, "MOMENTUM", 0.5)  # of NumPy's steps alone: minidl's optimiser is made already
    with pytest.raises(SystemExit, match="numpy computes something else"):
        contestants.check_equal(found)


def test_contestants_take_turns():
    import measure

    calls = []
    functions = {name: lambda name=name: calls.append((name, gc.isenabled())) for name in "ab"}
    times = measure.alternate(functions, seconds=0, block=1e-9)
    assert gc.isenabled() and not any(enabled for _, enabled in calls[-12:])
    assert [len(t) for t in times.values()] == [3, 3]
    blocks = "".join(name for name, _ in calls[-12:])
    assert blocks == "aabb" + "bbaa" + "aabb"  # a call that is not counted and one that is


def test_summary_and_slope():
    import curves
    import measure

    row = measure.summary({"minidl": np.array([1.0, 2.0, 9.0]), "torch": np.array([2.0, 4.0, 6.0])})
    assert row["ratio"] == {"torch": 0.5} and row["ratio_quartiles"]["torch"] == [0.5, 1.0]
    assert row["ms"] == {"minidl": 2000.0, "torch": 4000.0}
    assert curves.slope([(n, 5.0 * n**1.5) for n in (1, 2, 4, 8)]) == pytest.approx(1.5)


def test_fresh_process(monkeypatch):
    import measure

    monkeypatch.setenv("MINIDL_TEST_GONE", "1")
    assert measure.in_fresh_process(os.getenv, "MINIDL_TEST_GONE", MINIDL_TEST_GONE=None) is None
    assert measure.in_fresh_process(os.getenv, "MINIDL_TEST_SET", MINIDL_TEST_SET="7") == "7"
    assert os.environ["MINIDL_TEST_GONE"] == "1" and "MINIDL_TEST_SET" not in os.environ


@pytest.mark.programs
def test_kernels(tmp_path):
    words = ["conv 6x14", "avg pool global", "update"]
    options = "--seconds 0.01 --batch 2 --contestants twin --only".split()
    printed, (result,) = results("kernels.py", tmp_path, *options, *words)
    passes = [(row["kernel"].split()[0], row["pass"]) for row in result["rows"]]
    assert passes[:3] == [("conv", "forward"), ("conv", "to input"), ("conv", "to weight")]
    assert passes[3:] == [("avg", "forward"), ("avg", "backward"), ("update", "step"), ("update", "step")]
    assert all(row["ratio"]["twin"] > 0 for row in result["rows"]) and printed.count("conv 6x14 -> 16 5x5") == 3


def test_kernels_beside_torch(torch):
    """Every kernel once: the program ends with an error where the results are not PyTorch's."""
    import kernels

    import minidl

    for name, mode, functions in kernels.cases(2, {"minidl": minidl, "torch": torch}):
        kernels.check_equal(f"{name}, {mode}", kernels.with_twin(functions))


@pytest.mark.programs
def test_profile(tmp_path):
    printed, (result,) = results("profile_step.py", tmp_path, "lenet", "--seconds", 0.01)
    assert sum(row["share"] for row in result["rows"]) == pytest.approx(1)
    names = {row["operation"] for row in result["rows"]}
    assert {"conv2d", "relu", "optimizer"} <= names
    assert all(row["calls"] == int(row["calls"]) for row in result["rows"])
    parts = {row["shape"][1]: set(row["ms"]) for row in result["rows"] if row["operation"] == "conv2d"}
    assert parts == {6: {"forward", "to w", "to b"}, 16: {"forward", "to x", "to w", "to b"}}
    assert "conv2d" in printed


@pytest.mark.programs
def test_overhead(capsys):
    import profile_step

    rows = profile_step.overhead(argparse.Namespace(seconds=0.001))
    assert [row["operation"] for row in rows] == "add mul exp tanh sum matmul linear".split()
    assert all(len(row["us"]["minidl"]) == 2 for row in rows) and "backward" in capsys.readouterr().out


def test_instructions_without_a_counter():
    assert "nothing counts instructions here" in run("profile_step.py", "tiny", "--instructions", PATH="")


@pytest.mark.programs
def test_curves(tmp_path):
    options = "--only scalar sequence --largest 30 --seconds 0.001 --contestants --picture".split()
    printed, (result,) = results("curves.py", tmp_path, *options, tmp_path / "curves.png")
    assert [[point["size"] for point in row["points"]] for row in result["rows"]] == [[10, 30], [10, 30]]
    assert printed.count("slope") == 2 and (tmp_path / "curves.png").stat().st_size > 10_000


def test_every_curve_takes_a_step():
    import curves

    import minidl

    for make, sizes, _ in curves.CURVES.values():
        make(minidl, sizes[0])()


@pytest.mark.programs
def test_memory(tmp_path):
    printed, (result,) = results("memory.py", tmp_path, "--batches", 4, "--contestants")
    step, alive = result["rows"]
    assert step["batch"] == 4 and 1 < step["mb"]["minidl"] < 100
    activations = 4 * 4 * (32 * 32 * 32 * 2 + 64 * 16 * 16 * 2 + 128 * 8 * 8 * 2) / 2**20  # the convolutions' results
    assert sum(alive["alive"].values()) > activations and "alive between" in printed


@pytest.mark.programs
def test_augmentation(tmp_path):
    options = "--batch 4 --seconds 0.01 --contestants loop --only rotation all".split()
    printed, (result,) = results("augmentation.py", tmp_path, *options)
    *parts, vgg, cnn = result["rows"]
    assert [row["part"] for row in parts] == ["rotation", "all"]
    assert all(row["ratio"]["loop"] > 0 for row in parts) and 0 < vgg["share"] < 1 and cnn["step"] == "cnn"
    assert "without" not in printed


def test_augmentation_beside_pillow(monkeypatch):
    """Part for part the same as minidl's; and one that is not is refused."""
    import augmentation

    pytest.importorskip("PIL")
    augmentation.check_equal(["loop", "pillow"])
    monkeypatch.setitem(augmentation.CONTESTANTS, "pillow", (lambda parts, draws: lambda x: x / 300, ()))
    with pytest.raises(SystemExit, match="pillow computes something else"):
        augmentation.check_equal(["pillow"])


@pytest.mark.programs
def test_grading():
    printed = run("grading.py", "--students", 2, "--only", "A3")
    assert "A3: 2 submissions in" in printed and printed.strip().endswith("to 100")
