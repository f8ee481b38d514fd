"""Threads: products that every number of threads computes alike, BLAS held and let go, and nothing hangs or dies."""

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.kernels import blas, threads

ROOT = Path(__file__).resolve().parents[1]
CORES = ["", "Haswell", "SkylakeX", "Sandybridge"]  # OpenBLAS can run another processor's routines, if they exist here
held = pytest.mark.skipif(not blas.one_thread.available(), reason="no BLAS here whose threads can be set")
fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(kernels.product, "_SHARED", 50_000)  # so that small products are shared among threads too
    count = kernels.get_num_threads()
    yield
    kernels.set_num_threads(count)


SHARED = "from minidl.kernels import product; product._SHARED = 50_000\n"


def python(script, timeout=60, **environment):
    """What a script prints in a new process, which must end by itself and well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment}
    done = subprocess.run(
        [sys.executable, "-c", SHARED + textwrap.dedent(script)],
        env=environment, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- Products -------------------------------------------------------------------------------------------------------


SHAPES = [
    ((64, 200), (200, 300)), ((17, 5), (5, 3)), ((1, 300), (300, 400)), ((64, 784), (784, 256)),
    ((49, 600), (600, 700)), ((200, 70), (70, 900)), ((6, 40, 100), (6, 100, 150)), ((2, 3, 90, 100), (2, 3, 100, 80)),
    ((1, 64, 300), (5, 300, 200)), ((64, 300), (4, 300, 200)), ((500, 0), (0, 900)), ((0, 9), (9, 4)),
]  # fmt: skip


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("left, right", SHAPES)
def test_product_is_the_definition(left, right, dtype, tolerance):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(left).astype(dtype), rng.standard_normal(right).astype(dtype)
    expected = (a[..., :, None, :].astype(float) * b.swapaxes(-1, -2)[..., None, :, :]).sum(-1)
    odd = np.zeros((*left[:-1], 2 * left[-1]), dtype)[..., ::2]
    odd[...] = a
    turned = b.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    for count in 1, 3:
        kernels.set_num_threads(count)
        for one, other in (a, b), (odd, turned), (a, b[..., ::-1]):
            out = kernels.matmul(one, other)
            wanted = expected if other is not one and other.strides[-1] >= 0 else expected[..., ::-1]
            assert out.dtype == dtype and out.shape == wanted.shape
            assert np.allclose(out, wanted, rtol=0, atol=tolerance * max(1, left[-1]) ** 0.5 * 4)


@held
@pytest.mark.parametrize("core", CORES)
def test_every_number_of_threads_gives_the_same_product(core):
    script = """
    import numpy as np
    from minidl import kernels
    from minidl.kernels import product, threads
    rng = np.random.default_rng(2)
    ran = []
    def run(kernel, units, *rest, **options):
        ran.append(units)
        whole(kernel, units, *rest, **options)
    whole, threads.run = threads.run, run
    done = 0
    while done < 60:
        n, m, k = (int(v) for v in np.exp(rng.uniform(np.log(8), np.log(600), 3)))
        if not 2.5e6 < n * m * k < 2e7: continue
        dtype = rng.choice(["f4", "f8"])
        a = rng.standard_normal((k, n)).astype(dtype).T if done % 2 else rng.standard_normal((n, k)).astype(dtype)
        b = rng.standard_normal((m, k)).astype(dtype).T if done % 3 else rng.standard_normal((k, m)).astype(dtype)
        results = []
        for count in (1, 2, 2, 3, 7, 16):
            kernels.set_num_threads(count)
            results.append(kernels.matmul(a, b))
        assert all(np.array_equal(result, results[0]) for result in results), (n, m, k, dtype)
        done += 1
    assert len(ran) == 6 * done and max(ran) > 7
    """
    python(script, **({"OPENBLAS_CORETYPE": core} if core else {}))


def test_whole_numbers_mixed_types_and_errors_are_numpys():
    big = np.ones((300, 300))
    for a, b in (big.astype(int), big.astype(int)), (big.astype(np.float32), big), (big > 0, big), (big + 0j, big):
        wanted = a @ b
        found = kernels.matmul(a, b)
        assert found.dtype == wanted.dtype and np.array_equal(found, wanted)
    with pytest.raises(ValueError, match="mismatch"):
        kernels.matmul(big, np.ones((301, 300)))
    with pytest.raises(ValueError, match="mismatch"):
        kernels.matmul(np.ones((400, 400), np.float32), np.ones((300, 400), np.float32))


def test_infinity_nan_and_numpys_error_state_reach_the_workers():
    kernels.set_num_threads(2)
    a, b = np.full((400, 200), 1e30, np.float32), np.full((200, 300), 1e30, np.float32)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.isposinf(kernels.matmul(a, b)).all()
    with np.errstate(over="ignore"):  # a warning would be an error here
        assert np.isposinf(kernels.matmul(a, b)).all()
    a[399, 0] = np.nan
    with np.errstate(all="ignore"):
        out = kernels.matmul(a, b)
    assert np.isnan(out[399]).all() and not np.isnan(out[:399]).any()


# --- BLAS is held to one thread, and let go -------------------------------------------------------------------------


class FakeLibrary:
    """Stands for OpenBLAS: counts as it does, and remembers what it was told."""

    def __init__(self, count):
        self.count, self.told = count, []

    def set(self, count):
        self.count = count
        self.told.append(count)


def held_context(library):
    context = blas.OneThread()
    context.calls = (lambda: library.count), library.set
    return context


def test_blas_has_its_threads_back_afterwards():
    library = FakeLibrary(8)
    context = held_context(library)
    with context:
        with context:
            assert library.count == 1
        assert library.count == 1  # somebody is still inside
    assert library.count == 8 and library.told == [1, 8]
    with pytest.raises(KeyboardInterrupt), context:
        raise KeyboardInterrupt
    assert library.count == 8
    with context:
        library.count = 4  # another hand: it stays as that one wished
    assert library.count == 4
    library.count, library.told = 1, []
    with context:
        pass
    assert library.told == []  # one thread is all it had


def test_after_a_fork_the_child_restores_what_the_parent_held():
    library = FakeLibrary(8)
    context = held_context(library)
    context.__enter__()  # a thread of the parent, which does not exist in the child
    context.lock.acquire()
    context.after_fork()
    with context:
        assert library.count == 1
    assert library.count == 8


def test_without_a_library_products_are_numpys(monkeypatch):
    context = blas.OneThread()
    context.calls = ()
    monkeypatch.setattr(kernels.product, "one_thread", context)
    monkeypatch.setattr(threads, "run", None)  # would fail
    a, b = np.ones((300, 400), np.float32), np.ones((400, 500), np.float32)
    assert np.array_equal(kernels.matmul(a, b), a @ b)


@held
def test_products_hold_the_real_library_and_only_meanwhile():
    script = """
    import threading
    import numpy as np
    from minidl import kernels
    from minidl.kernels import blas, threads
    assert blas.one_thread.available()
    count, set_count = blas.one_thread.calls
    set_count(2)
    kernels.set_num_threads(2)
    seen, whole = [], threads.run
    def run(*args, **options):
        seen.append(count())
        whole(*args, **options)
    threads.run = run
    rng = np.random.default_rng(0)
    a, b = rng.random((300, 400)), rng.random((400, 500))
    wanted, ours = a @ b, kernels.matmul(a, b)
    wrong = []
    def crowd(multiply, expected):  # the user's own products beside ours
        for _ in range(10):
            if not np.allclose(multiply(a, b), expected, rtol=1e-12):
                wrong.append(multiply)
    crowd = [threading.Thread(target=crowd, args=pair) for pair in [(np.matmul, wanted), (kernels.matmul, ours)] * 2]
    for t in crowd: t.start()
    for t in crowd: t.join()
    assert not wrong and set(seen) == {1} and count() == 2, (wrong, set(seen), count())
    """
    python(script)


# --- Launches -------------------------------------------------------------------------------------------------------


def test_several_threads_launch_at_once():
    kernels.set_num_threads(3)

    def crowd(number):
        for _ in range(50):
            marks = np.zeros(30, int)
            threads.run(lambda first, last, marks=marks: marks[first:last].__iadd__(number), 30, 1e7, ())
            if not (marks == number).all():
                wrong.append(number)

    wrong = []
    crowds = [threading.Thread(target=crowd, args=(number,)) for number in (1, 2, 3, 4)]
    for t in crowds:
        t.start()
    for t in crowds:
        t.join(30)
    assert not wrong and not any(t.is_alive() for t in crowds)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["caller", "worker"])
def test_an_exception_in_a_kernel_reaches_the_caller_when_all_parts_have_ended(kind, where):
    kernels.set_num_threads(2)
    here, both, ended = threading.current_thread(), threading.Barrier(2), []

    def kernel(first, last):
        both.wait(30)
        if (threading.current_thread() is here) == (where == "caller"):
            raise kind("stop")
        threading.Event().wait(0.05)
        ended.append(first)

    with pytest.raises(kind, match="stop"):
        threads.run(kernel, 2, 1e6, ())
    assert len(ended) == 1
    marks = np.zeros(2)
    threads.run(lambda first, last: marks[first:last].fill(1), 2, 1e6, ())  # and all works again
    assert marks.all()


@pytest.mark.skipif(os.name != "posix", reason="sends itself a signal")
def test_ctrl_c_during_a_launch_waits_for_the_worker_and_then_interrupts():
    script = """
    import os, signal, threading, time
    from minidl.kernels import threads
    threads.set_num_threads(2)
    here, ended = threading.current_thread(), []
    def kernel(first, last):
        if threading.current_thread() is here:
            while not begun.is_set(): time.sleep(0.001)
            return  # the caller waits for the worker from here on
        begun.set()
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        ended.append(1)
    for _ in range(2):
        begun = threading.Event()
        try:
            threads.run(kernel, 2, 1e6, ())
        except KeyboardInterrupt:
            print("interrupted", len(ended))
    """
    assert python(script).split() == ["interrupted", "1", "interrupted", "2"]


def test_no_thread_can_be_started(monkeypatch):
    """As in a browser, at the limit of processes, or while the interpreter shuts down."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_workers", 0)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    kernels.set_num_threads(4)
    marks = np.zeros(30)
    threads.run(lambda first, last: marks[first:last].__iadd__(1), 30, 1e7, ())
    assert (marks == 1).all()


@pytest.mark.parametrize("ending", ["daemon launches", "atexit"])
def test_the_interpreter_ends_while_kernels_run(ending):
    script = """
    import atexit, sys, threading, time
    import numpy as np
    from minidl import kernels
    kernels.set_num_threads(2)
    a = np.random.default_rng(0).random((600, 600))
    image, filters = np.ones((16, 8, 16, 16), np.float32), np.ones((8, 8, 3, 3), np.float32)
    def work():
        kernels.matmul(a, a)
        kernels.conv2d(image, filters, None, (1, 1), (1, 1), (1, 1), 1)
    work()
    def forever():
        while True: work()
    if ENDING == "atexit":
        atexit.register(work)
    else:
        for _ in range(2): threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.1)
    print("end")
    """
    assert python(script.replace("ENDING", repr(ending))) == "end"


# --- Processes ------------------------------------------------------------------------------------------------------


@fork
def test_forked_children_of_a_busy_parent_compute_and_end():
    script = """
    import os, threading, warnings
    import numpy as np
    from minidl import kernels
    from minidl.kernels import blas
    kernels.set_num_threads(2)
    rng = np.random.default_rng(0)
    a, b = (rng.random((300, 300), np.float32) for _ in range(2))
    wanted = kernels.matmul(a, b)
    stop = threading.Event()
    def busy():
        while not stop.is_set(): kernels.matmul(a, b)
    thread = threading.Thread(target=busy)
    thread.start()
    codes = []
    for _ in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer Pythons warn of fork beside threads
            child = os.fork()
        if child == 0:
            fine = kernels.get_num_threads() == 1
            for count in (1, 2):
                kernels.set_num_threads(count)
                fine = fine and np.array_equal(kernels.matmul(a, b), wanted)
            os._exit(0 if fine and blas.one_thread.inside == 0 else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    thread.join()
    print(codes)
    """
    assert json.loads(python(script)) == [0] * 8


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_compute_and_end(method, tmp_path):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    script = f"""
    import multiprocessing, warnings
    import numpy as np
    from minidl import kernels
    def total(seed):
        a = np.random.default_rng(seed).random((300, 300))
        return float(kernels.matmul(a, a).sum())
    if __name__ == "__main__":
        kernels.set_num_threads(2)
        wanted = [total(seed) for seed in range(4)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                print(pool.map(total, range(4)) == wanted)
    """
    file = tmp_path / "script.py"
    file.write_text(textwrap.dedent(script))
    assert (
        python(
            f"import runpy, sys; sys.argv = [{str(file)!r}]; runpy.run_path({str(file)!r}, run_name='__main__')"
            if method == "fork"
            else f"import subprocess, sys; subprocess.run([sys.executable, {str(file)!r}], check=True)"
        )
        == "True"
    )


def test_a_loader_in_a_thread_beside_training():
    script = """
    import queue, threading
    import numpy as np
    import minidl
    from minidl import data, kernels, nn, optim
    kernels.set_num_threads(2)
    minidl.manual_seed(0)
    x, y = minidl.randn(256, 3, 12, 12).numpy(), np.arange(256) % 4
    shift = nn.Conv2d(3, 3, 3, padding=1)
    batches, losses = queue.Queue(2), []
    def load():
        try:
            with minidl.no_grad():
                for bx, by in data.DataLoader(data.Dataset(x, y), batch_size=64):
                    batches.put((shift(bx), by))  # kernels of its own, at once with those of the training
        finally:
            batches.put(None)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1600, 256), nn.Linear(256, 4))
    rule = optim.SGD(model.parameters(), lr=0.01)
    def train():
        losses.append([])
        thread = threading.Thread(target=load)
        thread.start()
        while (batch := batches.get()) is not None:
            rule.zero_grad()
            loss = nn.CrossEntropyLoss()(model(batch[0]), batch[1])
            loss.backward()
            rule.step()
            losses[-1].append(loss.item())
        thread.join()
    for _ in range(3): train()
    print(len(losses[-1]), losses[-1][-1] < losses[0][0])
    """
    assert python(script) == "4 True"


@pytest.mark.notebook
def test_a_notebook_kernel_is_restarted_while_threads_exist():
    """Two launches, a restart of Jupyter's kernel, and the same again."""
    nbformat, client = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = """
    import numpy as np
    from minidl import kernels
    kernels.set_num_threads(2)
    a = np.ones((400, 400), np.float32)
    assert (kernels.matmul(a, a) == 400).all()
    x, w = np.ones((32, 8, 16, 16), np.float32), np.ones((8, 8, 3, 3), np.float32)
    print(kernels.conv2d(x, w, None, (1, 1), (0, 0), (1, 1), 1).max(), __import__("threading").active_count() > 1)
    """
    code = nbformat.v4.new_code_cell(textwrap.dedent(cells))
    notebook = nbformat.v4.new_notebook(cells=[code, nbformat.v4.new_code_cell("a[0, 0] = 2; print(a.sum())")])
    runner = client.NotebookClient(notebook, timeout=60, kernel_name="python3")
    try:
        with runner.setup_kernel(cwd=str(ROOT)):
            for _ in range(2):
                for index, cell in enumerate(notebook.cells):
                    runner.execute_cell(cell, index)
                assert [cell.outputs[0].text for cell in notebook.cells] == ["72.0 True\n", "160001.0\n"]
                client.util.run_sync(runner.km.restart_kernel)(now=True)
                client.util.run_sync(runner.kc.wait_for_ready)(timeout=60)
    except client.exceptions.CellTimeoutError:
        pytest.fail("a cell hung")


def test_the_number_of_threads_can_be_set_where_pytorch_has_it():
    before = minidl.get_num_threads()
    try:
        minidl.set_num_threads(3)
        assert minidl.get_num_threads() == kernels.get_num_threads() == 3
    finally:
        minidl.set_num_threads(before)
