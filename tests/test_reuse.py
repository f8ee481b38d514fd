"""Memory of large results is used again, and never while anybody can still see it."""

import threading

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.kernels import reuse

FLOAT = np.dtype(np.float32)
LARGE = (reuse.LEAST // 4,)


@pytest.fixture(autouse=True)
def _empty_pool(monkeypatch):
    monkeypatch.setattr(reuse, "_buffers", [])
    if reuse._ALONE is None:
        pytest.skip("this Python does not count references")


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_that_nobody_holds_is_used_again():
    first = reuse.empty(LARGE, FLOAT)
    assert first.flags.c_contiguous and first.flags.writeable and address(first) % 64 == 0
    place = address(first)
    del first
    assert address(reuse.empty(LARGE, FLOAT)) == place
    assert address(reuse.empty((2, reuse.LEAST // 8), FLOAT)) == place
    assert len(reuse._buffers) == 1


@pytest.mark.parametrize(
    "hold",
    [
        lambda a: a, lambda a: a[3:5], lambda a: a.reshape(2, -1).T, lambda a: a.view(np.uint8)[::7], lambda a: [a],
        lambda a: (lambda: a), lambda a: np.broadcast_to(a, (2, *a.shape)), memoryview, iter,
        lambda a: np.asarray(memoryview(a)),
    ],
)  # fmt: skip
def test_memory_that_somebody_holds_is_not(hold):
    array = reuse.empty(LARGE, FLOAT)
    place, held = address(array), hold(array)
    del array
    others = [reuse.empty(LARGE, FLOAT) for _ in range(3)]
    assert place not in map(address, others) and len(set(map(address, others))) == 3
    del held
    assert address(reuse.empty(LARGE, FLOAT)) == place


def test_a_small_array_does_not_take_a_large_buffer():
    large = reuse.empty((4 * LARGE[0],), FLOAT)
    place = address(large)
    del large
    assert address(reuse.empty(LARGE, FLOAT)) != place and reuse.empty((3,), FLOAT).base is None


def test_no_more_is_kept_than_the_limit(monkeypatch):
    monkeypatch.setattr(reuse, "MOST", 3 * (reuse.LEAST + 64))
    held = [reuse.empty(LARGE, FLOAT) for _ in range(5)]
    assert len({address(a) for a in held}) == 5 and len(reuse._buffers) == 3
    del held
    kept = reuse.empty((2 * LARGE[0],), FLOAT)  # the free ones make room
    assert len(reuse._buffers) == 1 and kept.nbytes == 2 * reuse.LEAST


def test_threads_never_get_the_same_memory():
    wrong = []

    def work(number):
        for _ in range(300):
            array = reuse.empty(LARGE, FLOAT)
            array[::1024] = number
            if (array[::1024] != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(reuse._buffers) <= 4


def test_results_and_gradients_that_are_kept_stay_as_they_are():
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    x = minidl.Tensor(rng.standard_normal((8, 8, 40, 40)).astype(np.float32), requires_grad=True)
    w = minidl.Tensor(rng.standard_normal((8, 8, 3, 3)).astype(np.float32), requires_grad=True)
    kept = []
    for _ in range(4):
        with kernels.using("numba"):
            out = minidl.relu(minidl.conv2d(x, w, padding=1))
            (g,) = minidl.grad(out, x, minidl.ones_like(out))
        kept += [(a, a.copy()) for a in (out.numpy(), g.numpy(), out.numpy()[0], g.detach().numpy())]
    assert all(np.array_equal(a, copy) for a, copy in kept)
