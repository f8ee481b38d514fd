"""Cross-entropy from class numbers goes a short way of its own: it must agree with the long ways, for few classes, for
many, and in every memory layout."""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor

LAYOUTS = {"C": lambda x: x, "F": np.asfortranarray, "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2]}


def derivatives(loss, x, target, v):
    """Value, gradient, and the Hessian times v."""
    x = Tensor(x, requires_grad=True)
    value = loss(x, target)
    (g,) = minidl.grad(value, x, create_graph=True)
    (h,) = minidl.grad((g * Tensor(v)).sum(), x)
    x.zero_grad()
    loss(x, target).backward()
    np.testing.assert_allclose(x.grad.numpy(), g.numpy(), rtol=1e-9, atol=1e-15)  # kept from forward, computed anew
    return value.numpy(), g.numpy(), h.numpy()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(5, 3), (1, 1), (1, 7), (9, 1), (7, 64), (7, 65), (1, 100), (3, 200), (2, 70, 3)])
def test_class_numbers_are_probabilities_of_one(shape, reduction, layout):
    rng = np.random.default_rng(1)
    x, v = 3 * rng.standard_normal((2, *shape))
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    q = np.moveaxis(np.eye(shape[1])[y], -1, 1)

    def loss(x, target):
        return F.cross_entropy(x, target, reduction=reduction) * 0.7

    expected = derivatives(loss, x, np.ascontiguousarray(q), v)
    for labels in (y, y.astype(np.uint8), y[..., None].repeat(2, -1)[..., 0], Tensor(y)):
        found = derivatives(loss, LAYOUTS[layout](x), labels, v)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("classes", [3, 1000])
def test_single_precision_loses_nothing(classes):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((500, classes)), rng.integers(0, classes, 500)
    x[:50] *= 1e3
    x = x.astype(np.float32)
    leaf, double = (Tensor(x.astype(d), requires_grad=True) for d in (np.float32, np.float64))
    loss, exact = F.cross_entropy(leaf, y), F.cross_entropy(double, y)
    loss.backward()
    exact.backward()
    assert loss.dtype == leaf.grad.dtype == np.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
    np.testing.assert_allclose(leaf.grad.numpy(), double.grad.numpy(), rtol=2e-5, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_wrong_numbers_are_found_in_every_integer_type(dtype):
    x = np.zeros((2, 100), np.float32)
    for wrong in (100, np.iinfo(dtype).max, np.iinfo(dtype).min):
        if 0 <= wrong < 100:
            continue
        with pytest.raises(ValueError, match=r"\(sample 1\) is out of range"):
            F.cross_entropy(x, np.array([0, wrong], dtype))


def test_labels_written_to_before_the_second_derivative_change_nothing():
    x, y = Tensor(np.eye(3), requires_grad=True), np.array([0, 1, 2])
    loss = F.cross_entropy(x, y)
    (before,) = minidl.grad(loss, x, retain_graph=True)
    y[:] = 0
    (after,) = minidl.grad(loss, x, create_graph=True)
    np.testing.assert_allclose(after.numpy(), before.numpy(), rtol=1e-12)
