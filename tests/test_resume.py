"""Exact resume: a run that is killed, at whatever moment, and started again ends with the same bits."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import nn, optim, train
from minidl.data import DataLoader, Dataset
from minidl.train import Callback, Checkpoint, EarlyStopping, Schedule, fit

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 4)).astype(np.float32)
Y = (X[:, 0] + rng.normal(size=30) > 0).astype(np.int64)
cross_entropy = nn.CrossEntropyLoss()


def noise(x, y, rng):
    return x + rng.normal(0, 0.1, x.shape).astype(x.dtype), y


class Memory(Callback):
    """A callback with a state of its own: a moving average of the weights."""

    def on_fit_start(self, run):
        self.average = run.model.state_dict()

    def on_batch_end(self, run):
        for name, array in run.model.state_dict().items():
            self.average[name] = (0.9 * self.average[name] + 0.1 * array).astype(array.dtype)

    def state_dict(self):
        return {"average": self.average}

    def load_state_dict(self, state):
        self.average = {name: array.copy() for name, array in state["average"].items()}


def fail():
    raise ZeroDivisionError


def program(
    folder, resume=True, epochs=6, patience=3, min_delta=0.0, every=1, own_rng=False, moment=None, when=0, crash=fail
):
    """A training program as a user would start it again; if told where, it crashes at the when-th such moment."""
    minidl.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3, 5 if own_rng else None),
                          nn.Linear(6, 2))
    optimizer = optim.AdamW(model.parameters(), lr=0.3)
    loader = DataLoader(Dataset(X[:20], Y[:20]), 8, shuffle=True, transform=noise, rng=7 if own_rng else None)
    count = iter(range(10_000))
    crasher = Callback(**{moment: lambda run: crash() if next(count) == when else None} if moment else {})
    memory, stopping = Memory(), EarlyStopping(patience=patience, min_delta=min_delta)
    callbacks = [Checkpoint(folder, every=every, monitor="val_loss"), crasher, memory, stopping]
    history = fit(
        model, loader, loss=cross_entropy, optimizer=optimizer, epochs=epochs, validation=(X[20:], Y[20:]),
        metrics=["accuracy"], callbacks=callbacks, clip=1.0, progress=False, resume=folder if resume else None,
        schedule=Schedule(optim.CosineAnnealingLR(optimizer, T_max=18), every="batch"),
    )  # fmt: skip
    end = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": memory.average}
    arrays, text = train.packing.pack({**end, "history": list(history), "random": minidl.random.get_state()})
    files = {f.name: f.read_bytes() for f in sorted(folder.iterdir())}
    return {name: array.tobytes() for name, array in arrays.items()}, text, history.stopped, files


TIMES = {"on_epoch_start": 5, "on_gradient": 15, "on_batch_end": 15, "on_epoch_end": 5}


@pytest.mark.parametrize("own_rng", [False, True])
@pytest.mark.parametrize("moment, last", TIMES.items())
def test_a_run_that_fails_anywhere_and_is_resumed_ends_with_the_same_bits(tmp_path, moment, last, own_rng):
    (tmp_path / "whole").mkdir()
    whole = program(tmp_path / "whole", resume=False, own_rng=own_rng)
    assert set(whole[3]) == {"last.safetensors", "best.safetensors"}
    assert "not improved since epoch 2" in whole[2]  # so that there is something to remember, best weights and all
    for when in {0, 1, last // 2, last - 1}:
        folder = tmp_path / f"{when}"
        with pytest.raises(ZeroDivisionError):
            program(folder, moment=moment, when=when, own_rng=own_rng)
        minidl.random.generator("dropout").random(17)  # another process would have other streams
        assert program(folder, own_rng=own_rng) == whole


def test_resuming_twice_rarely_saved_and_after_the_end(tmp_path):
    whole = program(tmp_path / "whole", resume=False)
    for when in (5, 14):
        with pytest.raises(ZeroDivisionError):
            program(tmp_path / "twice", moment="on_gradient", when=when, every=2)
    assert train.load_checkpoint(tmp_path / "twice")["epoch"] == 4
    assert program(tmp_path / "twice", every=2) == whole  # the last epoch, the fifth, is always saved
    assert program(tmp_path / "twice") == whole  # a finished run: nothing is left to do, its best weights come back


def test_more_epochs_than_at_first(tmp_path):
    whole = program(tmp_path / "whole", resume=False, epochs=4)
    program(tmp_path / "more", epochs=3, every=2)
    assert train.load_checkpoint(tmp_path / "more")["epoch"] == 3  # the last one is always saved
    assert program(tmp_path / "more", epochs=4) == whole


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    stopped = program(tmp_path / "a", resume=False, patience=1, min_delta=1e9)
    assert "not improved since epoch 1" in stopped[2] and train.load_checkpoint(tmp_path / "a")["epoch"] == 2
    assert program(tmp_path / "a", patience=1, min_delta=1e9) == stopped


def test_what_a_checkpoint_holds(tmp_path):
    program(tmp_path / "a", own_rng=True)
    state = train.load_checkpoint(tmp_path / "a")
    assert train.load_checkpoint(tmp_path / "a" / "last.safetensors")["epoch"] == state["epoch"] == 5
    names = "model optimizer callbacks history epoch stopped random loaders generators"
    assert list(state) == names.split()
    assert [name for name, _ in state["callbacks"]] == ["Schedule", "Memory", "EarlyStopping", "Checkpoint"]
    assert list(state["generators"]) == ["3.rng"] and state["loaders"][0]["rng"] is not None
    assert len(state["history"]) == 5 and state["random"]["seed"] == 2
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2))
    train.load_weights(model, tmp_path / "a" / "last.safetensors")  # the weights alone
    assert model[1].running_var.numpy().tobytes() == state["model"]["1.running_var"].tobytes()
    _, about = train.load(tmp_path / "a" / "best.safetensors")
    best = min(state["history"], key=lambda row: row["val_loss"])
    assert about == {"epoch": str(best["epoch"]), "val_loss": repr(best["val_loss"])}
    train.load_weights(model, tmp_path / "a" / "best.safetensors")
    loss = train.evaluate(model, (X[20:], Y[20:]), cross_entropy)["loss"]
    assert loss == best["val_loss"]


def test_best_only_saves_no_more(tmp_path):
    model = nn.Linear(4, 2)
    fit(model, (X, Y), loss=cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=2, progress=False,
        callbacks=[Checkpoint(tmp_path / "new" / "folder", monitor="loss", best_only=True)])
    assert [f.name for f in (tmp_path / "new" / "folder").iterdir()] == ["best.safetensors"]


def test_a_checkpoint_callback_forgets_the_run_before(tmp_path):
    saving = Checkpoint(tmp_path, monitor="made_up", mode="max")
    for value in (0.9, 0.1):
        model = nn.Linear(4, 2)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        fit(model, (X, Y), loss=cross_entropy, optimizer=optimizer, epochs=1, progress=False,
            callbacks=[lambda run, value=value: run.row.update(made_up=value), saving])
        assert train.load(tmp_path / "best.safetensors")[1]["made_up"] == str(value)


def other(what):
    """A run that differs from the saved one in one thing."""
    dropout = nn.Dropout(0.5, rng=1 if what == "generator" else None)
    model = nn.Sequential(nn.Linear(4, 3 if what == "model" else 2), dropout)
    make = optim.SGD if what == "optimizer" else optim.Adam
    optimizer = make(model.parameters(), lr=0.1)
    gamma = 0.5 if what == "schedule" else 0.9
    callbacks = [] if what == "callbacks" else [EarlyStopping("loss")]
    return model, dict(
        loss=cross_entropy, optimizer=optimizer, epochs=2, progress=False, callbacks=callbacks,
        schedule=None if what == "no schedule" else optim.ExponentialLR(optimizer, gamma),
        rng=3 if what == "loader" else None,
    )  # fmt: skip


MISMATCHES = {
    "model": "0.weight.*shape",
    "optimizer": "saved by Adam, this is SGD",
    "schedule": "gamma",
    "no schedule": "state of a Schedule, but the callbacks of this run lack one",
    "callbacks": "state of a EarlyStopping",
    "loader": "generator of its own",
    "generator": "random generators of their own",
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, what):
    model, options = other(None)
    options["callbacks"].append(Checkpoint(tmp_path))
    fit(model, (X, Y), **options)
    model, options = other(what)
    with pytest.raises(ValueError, match=f"(?s){re.escape(str(tmp_path))}.* is of another run.*{MISMATCHES[what]}"):
        fit(model, (X, Y), **options, resume=tmp_path)


def test_where_to_resume_from(tmp_path):
    model, options = other(None)
    for beginning in (tmp_path, tmp_path / "not-yet-there"):  # killed before the first checkpoint
        assert len(fit(model, (X, Y), **options, resume=beginning)) == 2
    options["callbacks"] += [Checkpoint(tmp_path)]
    fit(model, (X, Y), **options)
    options["callbacks"] += [train.Log(tmp_path / "h.json")]  # even with nothing left to do
    history = fit(model, (X, Y), **options, resume=tmp_path)
    assert train.History.load(tmp_path / "h.json") == history and len(history) == 2
    (tmp_path / "last.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no file"):  # a file must be there
        fit(model, (X, Y), **options, resume=tmp_path / "last.safetensors")
    train.save_weights(model, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="holds weights only"):
        fit(model, (X, Y), **options, resume=tmp_path / "w.safetensors")


# --- Really killed -------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_resume import program

def run(folder, **options):
    arrays, text, stopped, files = program(Path(folder), epochs=10, patience=6, **options)
    import hashlib
    return hashlib.sha256(repr((sorted(arrays.items()), text, stopped, sorted(files.items()))).encode()).hexdigest()
"""

FORKS = """
import os, random, signal, time
random.seed(2)
def attempt(folder, limit):
    "The result of a run in a process of its own, None if it was killed after so many seconds."
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, run(folder).encode())
        finally:
            os._exit(0)
    os.close(write)
    if limit:
        time.sleep(limit)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read() or None

base = Path(sys.argv[1])
start = time.perf_counter()
whole = attempt(base / "whole", None)
duration = time.perf_counter() - start
kills = 0
for trial in range(8):
    for _ in range(6):
        result = attempt(base / str(trial), random.uniform(0.05, 0.6) * duration)
        kills += result is None
        if result:
            break
    result = result or attempt(base / str(trial), None)
    assert result == whole, trial
print(kills)
"""


def start(code, *arguments):
    code = PROGRAM.format(here=os.path.dirname(__file__)) + code
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path):
    child = start(FORKS, str(tmp_path))
    out, error = child.communicate(timeout=100)
    assert child.returncode == 0, error
    assert int(out) >= 8  # else the kills came too late


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_and_resumed_in_new_processes_it_ends_with_the_same_bits(tmp_path):
    """No fork: everything is imported anew, and memory lies elsewhere."""
    killed = start(
        "import os, signal; kill = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run(sys.argv[1], moment='on_gradient', when=17, crash=kill)",
        str(tmp_path / "a"),
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -9 and train.load_checkpoint(tmp_path / "a")["epoch"] == 5
    children = [start("print(run(sys.argv[1]))", str(tmp_path / name)) for name in "ab"]
    results = [child.communicate(timeout=60) for child in children]
    assert results[0] == results[1] and len(results[0][0]) == 65, results
