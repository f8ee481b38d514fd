"""The commands: what they print and write, and that bad arguments get a message and status 2, never a traceback."""

import json
import subprocess
import sys

import numpy as np
import pytest

from minidl import cli, models, train

FAST = ["train", "moons", "--epochs", "2"]


def test_train_writes_all_it_promises(tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["train", "digits", "--epochs", "1", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "cnn with 8,474 parameters on digits: 1,438 samples to train on, 359 to test on" in text
    accuracy = float(text.split("test accuracy: ")[1].split(" %")[0])
    assert accuracy > 50
    assert "recall" in text
    history = json.loads((out / "history.json").read_text())
    rows = history["rows"] if isinstance(history, dict) else history
    assert rows[-1]["val_accuracy"] * 100 == pytest.approx(accuracy, abs=0.06)
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    model = models.cnn((1, 8, 8), 10)
    train.load_weights(model, out / "weights.safetensors")


def test_one_seed_is_one_result(tmp_path, capsys):
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert cli.main([*FAST, "--seed", str(seed), "--out", str(tmp_path / name)]) == 0
        weights.append(train.load(tmp_path / name / "weights.safetensors")[0])
    a, b, c = weights
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not all(np.array_equal(a[k], c[k]) for k in a)


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert cli.main([*FAST, "--out", out]) == 0
    before = (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert cli.main(["train", "--resume", "--out", out]) == 0
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == before


def test_a_new_run_gets_a_new_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli.main(FAST) == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["moons-mlp", "moons-mlp-2"]


BAD = [
    (["train", "digits", "--model", "alexnet"], "invalid choice: 'alexnet'"),
    (["train", "digit"], "invalid choice: 'digit'"),
    (["train", "--epochs", "0"], "0 is not greater than 0"),
    (["train", "--epochs", "two"], "invalid int value: 'two'"),
    (["train", "--lr", "-1"], "-1 is not greater than 0"),
    (["train", "--lr", "nan"], "nan is not greater than 0"),
    (["train", "--resume"], "--resume needs to know the run"),
    (["train", "--resume", "--out", "nowhere"], "there is no run to resume in nowhere"),
    (["train", "spirals", "--model", "cnn"], "cnn is made for images"),
    (["train", "mnist", "--data", "empty"], "train-images-idx3-ubyte.gz"),
    (["train", "--out", "full"], "not empty"),
    (["train", "--out", "file"], "not empty"),
    (["train", "--resume", "--out", "damaged"], "damaged"),
    (["train", "--resume", "--out", "begun", "--epochs", "9"], "was begun with epochs=2"),
    (["train", "digits", "--model", "lenet"], "lenet needs images"),
    (["train", "--seed", "-1"], "seed"),
    (["dance"], "invalid choice: 'dance'"),
    ([], "required"),
    (["gradcheck", "--order", "3"], "invalid choice: 3"),
    (["gradcheck", "no_such_function"], "no_such_function"),
]


def _no_network(url, part):
    raise OSError(f"no network for {url}")


@pytest.mark.parametrize("argv, message", BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_bad_arguments(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "none"))
    monkeypatch.setattr("minidl.data.download._fetch_rest", _no_network)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    (tmp_path / "begun").mkdir()
    config = {"dataset": "moons", "model": "mlp", "epochs": 2, "batch_size": 32, "lr": 0.01, "seed": 0}
    (tmp_path / "begun" / "run.json").write_text(json.dumps(config))
    try:
        status = cli.main(argv)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "full" / "thesis.txt").read_text() == "precious"


def test_doctor_fits_on_one_screen(capsys):
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert {"minidl", "python", "system", "numpy", "numba", "blas", "threads", "kernels"} <= set(names)
    assert len(lines) <= 24


def test_as_a_process():
    done = subprocess.run([sys.executable, "-m", "minidl", "train", "--epochs", "-3"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "minidl train: error: argument --epochs: -3 is not greater than 0" in done.stderr
