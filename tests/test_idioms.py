"""What PyTorch users write every day, and the traps in it: right, or an error that says so."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn, train
from minidl.nn import functional as F


def leaf(values):
    return Tensor(np.array(values, float), requires_grad=True)


def test_writing_a_result_into_a_buffer_would_lose_its_gradient():
    x, buffer = leaf([1.0, 2.0]), minidl.zeros(2)
    for write in (lambda: buffer.__setitem__(0, x[0] * 3), lambda: buffer.copy_(x)):
        with pytest.raises(RuntimeError, match="would lose its gradient; build a new tensor with minidl.stack"):
            write()
    with minidl.no_grad():
        buffer[0] = x[0] * 3
    assert buffer.tolist() == [3.0, 0.0]


@pytest.mark.parametrize("wrap", [list, tuple])
def test_a_sequence_of_results_would_lose_their_gradients(wrap):
    a, b, x = leaf(2.0), leaf(3.0), leaf([1.0, 2.0])
    for build in (lambda: x * wrap([a, b]), lambda: Tensor(wrap([a, b])), lambda: F.mse_loss(x, wrap([x[0], x[1]]))):
        with pytest.raises(TypeError, match="would lose them; use minidl.stack"):
            build()
    assert Tensor(wrap([a.detach(), b.detach()])).tolist() == [2.0, 3.0]


def test_augmented_assignment_means_the_same_in_training_and_in_evaluation():
    class Shift(nn.Module):
        def __init__(self):
            super().__init__()
            self.by = nn.Parameter([1.0])

        def forward(self, x):
            x += self.by
            return x

    batches = [(minidl.zeros(4, 1), minidl.ones(4, 1))]
    losses = [train.evaluate(Shift(), batches, nn.MSELoss())["loss"] for _ in range(2)]
    assert losses == [0.0, 0.0]


def test_a_long_sum_in_single_precision_is_accurate():
    x = (np.random.default_rng(0).random((200_000, 3)) + 100).astype(np.float32)
    exact = x.astype(np.float64)
    t = Tensor(x, requires_grad=True)
    np.testing.assert_allclose(t.sum(axis=0).detach(), exact.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(t.mean(axis=0).detach(), exact.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(t.var(axis=0).detach(), exact.var(axis=0, ddof=1), rtol=1e-5)
    bias = Tensor(np.zeros(3, np.float32), requires_grad=True)
    (t.detach() + bias).backward(x)
    np.testing.assert_allclose(bias.grad, exact.sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.__setitem__(slice(502), 0), lambda m: m.__imul__(-1), lambda m: m.sort(),
        lambda m: m.__setitem__(7, 8.0),
    ],  # fmt: skip
)
def test_changes_that_cancel_in_a_simple_checksum_are_noticed(change):
    m = np.tile([2.0, 1.0], 502)
    x = Tensor(np.ones(1004), requires_grad=True)
    loss = (x * m).sum()
    change(m)
    with pytest.raises(RuntimeError, match="written to between forward and backward"):
        loss.backward()


def test_arrays_with_an_arithmetic_of_their_own_are_refused():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    for other in (matrix, np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2))):
        with pytest.raises(TypeError, match="arithmetic of its own; pass a plain array"):
            x * other
    with pytest.raises(TypeError, match="real numbers"):
        x * 1j


def test_dtypes_are_those_of_pytorch():
    single = minidl.ones(3)
    results = [
        Tensor(np.array([3], np.uint8)) / 255, minidl.arange(10) / 10, Tensor([1, 2]) * 0.5, single * np.array(2.0),
        single * np.float64(2), single * [1, 2, 3], single * (1.0, 2.0, 3.0), single + np.arange(3),
    ]  # fmt: skip
    assert {t.dtype for t in results} == {np.dtype(np.float32)}
    assert minidl.arange(np.int64(3)).dtype == np.int64


def test_relu_stops_an_infinite_gradient():
    x = leaf([-1.0, 4.0])
    with np.errstate(divide="ignore"):
        x.relu().sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_words_of_pytorch():
    x = leaf([[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]])
    assert x.argmax(dim=1).tolist() == [1, 2]
    assert x.max(dim=0, keepdim=True).tolist() == [[4.0, 5.0, 6.0]]
    assert x.sum(dim=1).tolist() == [9.0, 12.0]
    assert minidl.softmax(x, dim=0).shape == minidl.cat([x], dim=1).shape == (2, 3)
    assert x.numel() == 6 and x.clamp(2, 4).tolist() == [[2.0, 4.0, 3.0], [4.0, 2.0, 4.0]]
    assert x.masked_fill(x > 3, 0.0).tolist() == [[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]]
    assert f"{x.sum():.1f}" == "21.0" and round(x.mean(), 1) == 3.5
    with pytest.raises(ValueError, match=r"true\? It has 6 elements"):
        bool(x)
    x.sum().backward()
    x.grad.zero_()
    assert x.grad.tolist() == [[0.0] * 3] * 2


def test_a_list_of_layers_is_found_out_even_when_it_is_filled_later():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = []
            self.layers.append(nn.Linear(1, 1))

    with pytest.raises(TypeError, match="Net.layers is a list of layers.*nn.ModuleList"):
        list(Net().parameters())


def test_the_shape_of_a_leaf_stays():
    x = leaf([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="the shape stays"):
        x.data = np.ones(1)


def test_what_a_hook_has_kept_is_not_the_gradient():
    x, seen = leaf([1.0, 2.0]), []
    x.register_hook(seen.append)
    (x * 2).sum().backward()
    x.grad.data[:] = 7
    assert seen[0].tolist() == [2.0, 2.0]


def test_nan_is_no_answer():
    assert train.accuracy(np.full((2, 3), np.nan), np.array([0, 0])) == 0.0


def test_recording_is_switched_by_statement_and_by_block():
    try:
        switch = minidl.set_grad_enabled(False)
        assert not minidl.is_grad_enabled()
        minidl.set_grad_enabled(True)
        with switch:
            assert not minidl.is_grad_enabled()
    finally:
        minidl.set_grad_enabled(True)
    with pytest.raises(TypeError, match="around the computation and not around the yield"):

        @minidl.no_grad()
        def generator():
            yield 1


def test_two_threads_add_to_one_leaf():
    import sys
    import threading

    x, before = leaf(1.0), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [(x * 1.0).backward() for _ in range(300)]) for _ in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    finally:
        sys.setswitchinterval(before)
    assert x.grad.item() == 900.0
