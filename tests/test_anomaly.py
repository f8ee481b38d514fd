"""detect_anomaly names the first operation that makes a NaN or an infinity, with shapes and the user's line."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, detect_anomaly, engine, nn
from minidl.anomaly import AnomalyError

HERE = __file__


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


def lines(error):
    return str(error.value).splitlines()


def test_forward_names_operation_arguments_and_line():
    x = leaf(1.0, 0.0, 4.0)
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        y = (x * 2).log()  # here
        y.sum().backward()
    what, call, where = lines(error)
    assert what == "log made -inf: 1 of 3 elements, the first at [1]"
    assert call == "called as log(x: Tensor float64 (3,))"
    assert where.startswith(HERE) and where.endswith(": y = (x * 2).log()  # here")
    assert "in test_forward_names_operation_arguments_and_line" in where


def test_the_line_is_the_users_also_through_layers_and_composed_functions():
    model = nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax())
    model[0].weight.data[...] = 1e38
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        model(np.full((1, 2), 1e3, np.float32))  # overflows
    assert "made inf: 2 of 2 elements, the first at [0, 0]" in lines(error)[0]
    assert lines(error)[-1].endswith("# overflows") and lines(error)[-1].startswith(HERE)


def test_only_the_first_is_named():
    x = leaf(-1.0, 2.0)
    with detect_anomaly(), pytest.raises(AnomalyError, match="^sqrt made nan: 1 of 2"):
        (x.sqrt() + 1).log()


def test_backward_gives_the_line_of_the_forward_call():
    x = leaf(0.0, 4.0)
    with detect_anomaly():
        y = x.sqrt()  # the forward call
        loss = (y * 3).sum()
        with pytest.raises(AnomalyError) as error:
            loss.backward()
    what, call, where = lines(error)
    assert what == "backward: the rule of sqrt for 'x' made inf: 1 of 2 elements, the first at [0]"
    assert call == "in forward, called as sqrt(x: Tensor float64 (2,))"
    assert where.startswith(HERE) and where.endswith("# the forward call")


def test_backward_of_a_graph_made_before():
    y = leaf(0.0).sqrt()
    with detect_anomaly(), pytest.raises(AnomalyError, match="rule of sqrt.*\n.*before detect_anomaly"):
        y.backward()


def test_second_order_and_functions_of_ones_own():
    @minidl.primitive
    def half(x):
        return np.sqrt(x)

    half.vjp(lambda g, x: g * (minidl.log(x) * 0.0 + 0.5))
    x = leaf(0.0)
    with detect_anomaly(), pytest.raises(AnomalyError, match="rule of half for 'x' made nan"):
        half(x).backward()
    with detect_anomaly(), pytest.raises(AnomalyError, match="^log made -inf"):
        half(x).backward(create_graph=True)


@pytest.mark.parametrize(("f", "words"), [
    (lambda x: x / 0.0, "div made"),
    (lambda x: 1e300 * x * 1e300, "mul made inf"),
    (lambda x: (x * 1e4).exp(), "exp made inf"),
    (lambda x: (-x).pow(0.5), "pow made nan"),
    (lambda x: Tensor(np.array([np.inf, 1.0])) * 0.0 + x, "mul made nan"),
    (lambda x: minidl.where(x > 0, np.nan, x), "where was given NaN"),
    (lambda x: x + np.array([np.nan, 1.0]), "add was given NaN.*argument 'y'"),
    (lambda x: Tensor([np.nan, 1.0]).exp(), "exp was given NaN.*argument 'x'"),
])  # fmt: skip
def test_what_is_an_anomaly(f, words):
    with detect_anomaly(), pytest.raises(AnomalyError, match=f"^{words}"):
        f(leaf(1.0, 2.0))


def test_what_is_none():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        assert minidl.where(np.array([True, False]), x, -np.inf).softmax().sum().item() == 1.0  # a mask
        minidl.where(x > 0, x, np.nan).sum().backward()  # a NaN that is not chosen
        for fine in (Tensor([1, 2]) + Tensor([3, 4]), Tensor(np.zeros((0, 2))).sum(), x.detach().astype("int64")):
            assert np.isfinite(fine.numpy()).all()
    assert x.grad.numpy().tolist() == [1.0, 1.0]


def test_nothing_remains():
    before = list(engine._observers)
    with pytest.raises(KeyError), detect_anomaly():
        with detect_anomaly():
            assert len(engine._observers) == len(before) + 2
        assert len(engine._observers) == len(before) + 1
        raise KeyError
    assert engine._observers == before
    with pytest.warns(RuntimeWarning, match="divide by zero"):  # NumPy's warnings are as before
        assert np.isinf(leaf(0.0).log().item())  # and nobody minds


def test_as_a_decorator_and_repeatedly():
    @detect_anomaly()
    def step(x):
        return x.log()

    for _ in range(2):
        assert step(leaf(1.0)).item() == 0.0
        with pytest.raises(AnomalyError):
            step(leaf(0.0))


def test_old_calls_are_forgotten(monkeypatch):
    monkeypatch.setattr(minidl.anomaly, "_REMEMBERED", 10)
    with detect_anomaly():
        y = x = leaf(1.0)
        for _ in range(100):
            y = y * 1.0
        assert len(engine._observers[-1].calls) <= 10
        y.backward()
    assert x.grad.item() == 1.0
