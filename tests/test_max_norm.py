"""The max-norm constraint: projection of each neuron's incoming weights, as a function and as a callback."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn, optim
from minidl.optim import max_norm_
from minidl.train import Callback, MaxNorm, fit


def leaf(array):
    return Tensor(array, requires_grad=True)


def test_numbers_worked_out_by_hand():
    w = leaf(np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [0.0, -5.0]], np.float32))
    assert max_norm_([w], 2.5) == 2
    assert w.numpy().tolist() == np.array([[1.5, 2.0], [0.3, 0.4], [0.0, 0.0], [0.0, -2.5]], np.float32).tolist()
    assert max_norm_(w, 2.5) == 0  # on the surface


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (6, 1), (100, 300), (3, 0)])
def test_it_projects_and_never_touches_what_is_inside(dtype, shape):
    rng = np.random.default_rng(0)
    for c in (0.1, 0.9, 1.7, 1e3):
        before = rng.normal(size=shape).astype(dtype)
        if before.size:
            before *= (rng.uniform(0.01, 3, (shape[0], *[1] * (len(shape) - 1))) * c).astype(dtype)
        w = leaf(before)
        outside = max_norm_([w], c)
        after = w.numpy()
        assert after.dtype == dtype
        norms = [np.sqrt((row.astype(np.longdouble) ** 2).sum()) for row in before]
        for row, new, norm in zip(before, after, norms, strict=True):
            if norm <= c:
                assert row.tobytes() == new.tobytes()
            else:
                np.testing.assert_allclose(new, row.astype(float) * float(c / norm), rtol=2 * np.finfo(dtype).eps,
                                           atol=float(np.finfo(dtype).tiny))
                assert np.linalg.norm(new.astype(float)) <= c * (1 + 2 * np.finfo(dtype).eps)
        assert outside == sum(norm > c for norm in norms) > 0 or c == 1e3 or not before.size
        again = after.copy()
        assert max_norm_([w], c) == 0 and w.numpy().tobytes() == again.tobytes()
        columns = leaf(before.T)
        assert max_norm_([columns], c, axis=-1) == outside and max_norm_([columns], c, axis=-1) == 0


def test_it_is_torchs_renorm(torch):
    x = np.random.default_rng(0).normal(size=(6, 4, 3, 3))
    for axis in range(4):
        w = leaf(x)
        max_norm_([w], 1.3, axis)
        expected = torch.renorm(torch.from_numpy(x), 2, axis, 1.3).numpy()
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-6)  # PyTorch divides by norm + 1e-7


def test_nan_infinity_and_numbers_whose_squares_overflow():
    x = np.array([[np.nan, 9.0], [np.inf, 9.0], [3e200, -4e200], [3e-200, 4e-200], [3.0, 4.0]])
    w = leaf(x)
    assert max_norm_([w], 1.0) == 2
    np.testing.assert_array_equal(w.numpy()[[0, 1, 3]], x[[0, 1, 3]])
    np.testing.assert_allclose(w.numpy()[[2, 4]], [[0.6, -0.8], [0.6, 0.8]], rtol=1e-15)


def test_memory_that_is_not_in_order_and_columns_as_neurons():
    x = np.random.default_rng(0).normal(size=(4, 6))
    w, columns = leaf(np.zeros((6, 4))), leaf(x)
    w.data = x.T
    max_norm_([w], 1.0)
    max_norm_([columns], 1.0, axis=-1)
    np.testing.assert_array_equal(w.numpy(), columns.numpy().T)
    np.testing.assert_allclose(np.linalg.norm(columns.numpy(), axis=0), np.minimum(np.linalg.norm(x, axis=0), 1))


def test_a_backward_that_needs_the_old_weights_is_refused():
    w, x = leaf(np.eye(2)), leaf(np.ones(2))
    loss = (w @ x).sum()
    max_norm_([w], 0.5)
    with pytest.raises(RuntimeError, match="written to between forward and backward"):
        loss.backward()


# --- The callback ---------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.out = nn.Linear(6 * 64, 3)

    def forward(self, x):
        return self.out(nn.functional.relu(self.up(self.norm(self.conv(x)))).reshape(len(x), -1))


def neurons(model):
    """The incoming weights of each unit, by the definition of each layer."""
    yield from model.conv.weight.numpy()
    yield from model.out.weight.numpy()
    for channel in range(6):  # made by the inputs of its own group, 3 of the 6 in each
        group, place = divmod(channel, 3)
        yield model.up.weight.numpy()[2 * group : 2 * group + 2, place]


def train(model, callbacks, epochs=3):
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(6, 2, 4, 4)).astype(np.float32), rng.integers(0, 3, 6))
    fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.5), epochs=epochs,
        batch_size=3, callbacks=callbacks, progress=False)


def test_after_every_step_no_neuron_is_outside():
    minidl.manual_seed(0)
    model, largest = Net(), []
    see = Callback(on_batch_end=lambda run: largest.append(max(np.linalg.norm(w) for w in neurons(run.model))))
    train(model, [see, MaxNorm(0.4), see])
    assert min(largest[::2]) > 0.401 and max(largest[1::2]) <= 0.4 * (1 + 1e-6)
    for layer in (model.conv, model.up, model.out):
        assert np.linalg.norm(layer.weight.numpy()) > 0.41  # not all of a layer together
    assert np.linalg.norm(model.norm.weight.numpy()) > 1  # norm layers are no weights


def test_groups_of_a_transposed_convolution_are_apart():
    minidl.manual_seed(0)
    model = Net()
    before = list(map(np.copy, neurons(model)))
    c = float(np.median([np.linalg.norm(w) for w in before[7:]]))
    train(model, [Callback(on_gradient=lambda run: [p.grad._writable().fill(0) for p in model.parameters()] and None),
                  MaxNorm(c)], epochs=1)  # fmt: skip
    for w, new in zip(before, neurons(model), strict=True):
        np.testing.assert_allclose(new, w * min(1, c / np.linalg.norm(w)), rtol=1e-6)


def test_a_wide_ball_changes_nothing_and_the_choice_is_the_callers():
    runs = []
    for callbacks in ([], [MaxNorm(1e3)], [MaxNorm(0.1, parameters=lambda m: [m.out.weight])]):
        minidl.manual_seed(0)
        model = Net()
        train(model, callbacks)
        runs.append({name: array.tobytes() for name, array in model.state_dict().items()})
        norms = [float(np.linalg.norm(w)) for w in neurons(model)]
    assert runs[0] == runs[1] != runs[2]
    assert max(norms[4:7]) <= 0.1 * (1 + 1e-6) and max(norms[:4]) > 0.2  # the last run: out, and not conv


BAD = {
    "c": (lambda: max_norm_([leaf(np.eye(2))], 0.0), ValueError, "max_norm_: c must be > 0, not 0.0"),
    "c of the callback": (lambda: MaxNorm(-1.0), ValueError, "MaxNorm: c must be > 0"),
    "c is none": (lambda: MaxNorm(None), TypeError, "c must be a number"),
    "a bias": (lambda: max_norm_([leaf(np.ones(3))], 1.0), ValueError, "no weight vectors.*nn.weights"),
    "axis": (lambda: max_norm_([leaf(np.eye(2))], 1.0, 2), ValueError, "axis 2 does not exist"),
    "a model": (lambda: max_norm_(nn.Linear(2, 2), 1.0), TypeError, "model.parameters"),
    "a model for the callback": (lambda: MaxNorm(1.0, nn.Linear(2, 2)), TypeError, "list of Tensors, or a function"),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_errors_teach(call, error, message):
    with pytest.raises(error, match=message):
        call()
