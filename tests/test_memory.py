"""Nothing that backward still needs can be overwritten unnoticed; and what it does not need may be."""

import numpy as np
import pytest

import minidl
from minidl import Tensor

WRITTEN = r"was written to between forward and backward"


def leaf(*shape, dtype=np.float64):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype), requires_grad=True)


def write_data(x):
    x.data[...] = 5.0


def write_one_element(x):
    x.data.flat[-1] += 1.0


def write_minus_equals(x):
    x.data -= 0.1


def write_in_place(x):
    with minidl.no_grad():
        x += 1.0


def write_item(x):
    with minidl.no_grad():
        x[0] = 5.0


def write_copy(x):
    with minidl.no_grad():
        x.copy_(np.full(x.shape, 5.0))


def write_as_an_optimiser(x):
    x._writable()[...] -= 0.1


def write_view(x):
    with minidl.no_grad():
        x.reshape(-1)[1:] += 1.0


def write_part(x):
    with minidl.no_grad():
        part = x[1:]
        part *= 2.0


def write_data_of_a_view(x):
    x.detach()[1:].data[...] = 5.0


def write_transposed(x):
    with minidl.no_grad():
        x.T[0] = 3.0


def write_detached(x):
    x.detach().data[...] = 5.0


def write_detached_in_place(x):
    d = x.detach()
    d += 1.0


def swap_two_elements(x):
    flat = x.data.reshape(-1)
    flat[[0, 1]] = flat[[1, 0]]


def sort_in_place(x):
    x.data.sort(axis=0)


def reverse_rows(x):
    x.data[...] = x.data[::-1].copy()


def flip_the_sign_of_a_zero_sum(x):
    x.data[...] *= -1.0


WRITES = [f for name,
    f in list(globals().items()) if name.startswith(("write_", "swap_", "sort_", "reverse_", "flip_"))]
each_write = pytest.mark.parametrize("write", WRITES, ids=lambda f: f.__name__)
shapes = pytest.mark.parametrize("shape", [(3, 2), (40, 50)], ids=["small", "large"])  # two kinds of fingerprint


@each_write
@shapes
@pytest.mark.parametrize("parameter", [True, False], ids=["parameter", "constant"])
def test_writing_to_a_tensor_is_noticed(write, shape, parameter):
    """As a parameter, and as data beside a parameter."""
    x, other = leaf(*shape), leaf(*shape)
    x.requires_grad = parameter
    loss = (x * other * other).sum()
    write(x)
    with pytest.raises(RuntimeError, match="'x' of mul, Tensor|'x' of mul, array.*" + WRITTEN):
        loss.backward()


@each_write
@shapes
def test_writing_to_a_tensor_that_was_exposed_before(write, shape):
    """`data` had been looked at before the forward pass, so that its version tells nothing."""
    x = leaf(*shape)
    x.data += 1.0
    loss = (x * x).sum()
    write(x)
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


def test_an_array_kept_from_before_forward():
    x = leaf(3)
    array = x.data
    part = x.data[1:]
    loss = (x * x).sum()
    part[0] = 7.0
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()
    loss = (x * x).sum()
    array[2] = 7.0
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


def test_a_part_exposed_first_and_the_rest_written_later():
    x = leaf(4)
    loss = (x * x).sum()
    x.detach()[:1].data  # noqa: B018
    x.data[2:] = 9.0
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


@pytest.mark.parametrize("look", [lambda t: t[1:], lambda t: t.reshape(2, 3), lambda t: t.T, lambda t: t.detach()],
    ids="0123")
@pytest.mark.parametrize("write", [write_data, write_as_an_optimiser, write_in_place])
def test_a_view_that_is_kept_is_watched(look, write):
    x, other = leaf(3, 2), leaf(1)
    loss = (look(x) * other).sum()
    write(x)
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


def test_a_view_of_a_constant():
    data, w = Tensor(np.ones((4, 2))), leaf(2, 2)
    loss = (data[1:3] @ w).sum()
    data.data[1] = 3.0
    with pytest.raises(RuntimeError, match="'x' of matmul.*" + WRITTEN):
        loss.backward()


def test_writing_between_first_and_second_derivative():
    x = leaf(3)
    for y in (x, x[:], x * 1.0):
        z = (y * y * y).sum()
        (g,) = minidl.grad(z, x, create_graph=True)
        with minidl.no_grad():
            x += 1.0
        if y.is_leaf or y._node.op.name == "getitem":
            with pytest.raises(RuntimeError, match=WRITTEN):
                minidl.grad(g.sum(), x)
        else:  # a result of its own: nothing that is needed has changed
            np.testing.assert_allclose(minidl.grad(g.sum(), x)[0].numpy(), 6 * y.numpy())


def test_replaced_data_and_the_second_derivative():
    x = leaf(3)
    old = x.numpy().copy()
    loss = (x**3).sum()
    x.data = np.zeros(3)  # another array: the one that backward needs is still there
    loss.backward(retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), 3 * old**2)
    with pytest.raises(RuntimeError, match=WRITTEN):
        minidl.grad(loss, x, create_graph=True)


# --- arrays of the user's that an operation keeps ---------------------------------------------------------------------


def set_all(a):
    a[...] = a == 0


def set_one(a):
    a.flat[0] = a.flat[0] == 0


def swap(a):
    a.flat[[0, 1]] = a.flat[[1, 0]]


@pytest.mark.parametrize("change", [set_all, set_one, swap])
@pytest.mark.parametrize("size", [4, 3000])
def test_captured_arrays(change, size):
    rng = np.random.default_rng(1)
    for dtype in (np.float64, np.float32, np.int64, bool):
        constant = rng.permutation(np.arange(size) % 7 == 0).astype(dtype)
        constant[:2] = [0, 1]
        x = leaf(size)
        loss = minidl.where(constant, x, 0.0).sum() if dtype is bool else (x * constant).sum()
        change(constant)
        with pytest.raises(RuntimeError, match=WRITTEN):
            loss.backward()


def test_the_base_of_a_captured_view():
    base = np.ones((4, 3))
    for view in (base[1:], base.T, base.reshape(-1)[::2], np.broadcast_to(base[0], (2, 3)), base[1:].view()):
        x = leaf(*view.shape)
        loss = (x * view).sum()
        base *= 2.0
        with pytest.raises(RuntimeError, match="array float64.*" + WRITTEN):
            loss.backward()
    frozen = base[1:]
    frozen.flags.writeable = False  # the view cannot be written to, its base can
    loss = (leaf(3, 3) * frozen).sum()
    base[2] = 0.0
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


def test_sorting_a_captured_array():
    a = np.random.default_rng(0).standard_normal(5000)
    loss = (leaf(5000) * a).sum()
    a.sort()
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


def test_indices_and_labels_are_copied():
    """What says where to read is small: it is copied, so that changing it afterwards does no harm."""
    x, index, mask = leaf(4, 3), np.array([0, 2]), np.array([True, False, True, False])
    along, labels = np.zeros((4, 1), int), np.array([0, 1, 2, 0])
    outs = [x[index], x[mask], x[index, 1], minidl.take_along_axis(x, along, 1),
        minidl.nn.functional.cross_entropy(x, labels)]
    expected = [minidl.grad(o, x, Tensor(np.ones(o.shape)), retain_graph=True)[0].numpy() for o in outs]
    index[...], mask[...], along[...], labels[...] = 1, False, 2, 1
    for out, g in zip(outs, expected, strict=True):
        np.testing.assert_array_equal(minidl.grad(out, x, Tensor(np.ones(out.shape)))[0].numpy(), g)


def test_images_and_filters():
    x, w = Tensor(np.random.default_rng(0).standard_normal((1, 1, 5, 5))), leaf(1, 1, 3, 3)
    for write in (lambda: x.data.__setitem__(0, 0.0), lambda: w._writable().__imul__(2.0)):
        x.requires_grad = True
        loss = minidl.conv2d(x, w).sum()
        write()
        with pytest.raises(RuntimeError, match="of conv2d.*" + WRITTEN):
            loss.backward()


# --- no false alarm --------------------------------------------------------------------------------------------------


@each_write
def test_writing_where_nothing_is_needed(write):
    """The sum needs no value; so the inputs may change."""
    x, other = leaf(3, 2), leaf(3, 2)
    loss = (x + other - x.reshape(2, 3).reshape(3, 2) * 2.0).sum() + x.T[0].sum() + minidl.concat([x, other]).mean()
    write(x)
    loss.backward()
    np.testing.assert_array_equal(other.grad.numpy(), np.full((3, 2), 1 + 1 / 12))


@each_write
def test_writing_to_what_another_graph_needs(write):
    """After backward, and for a tensor that only looks alike, all is well."""
    x, y = leaf(3, 2), leaf(3, 2)
    (x * x).sum().backward()
    loss = (y * y).sum()
    write(x)
    loss.backward()
    loss = (x * x).sum()
    loss.backward()


def test_looking_is_not_writing():
    x = leaf(3)
    constant = np.arange(3.0)
    loss = (x * x * constant).sum()
    x.data, x.detach().data, x.numpy(), np.asarray(x), x[1:].data, repr(x), x.data[1:]  # noqa: B018
    constant.copy().sort()
    loss.backward()


def test_writing_the_same_value_is_harmless():
    x = leaf(3)
    loss = (x * x).sum()
    x.data[...] = x.data.copy()
    loss.backward()


@pytest.mark.parametrize("style", ["optimiser", "no_grad", "data", "data_setter"])
def test_training_loops_raise_no_alarm(style):
    rng = np.random.default_rng(0)
    w, b = leaf(3, 2), leaf(2)
    images, noise = rng.standard_normal((4, 3)), np.empty((4, 2))
    losses = []
    for _ in range(5):
        images[...] = rng.standard_normal((4, 3))  # buffers of the user's, used anew in every step
        noise[...] = 0.1
        loss = ((minidl.relu(images @ w + b) - noise) ** 2).mean()
        loss.backward()
        for p in (w, b):
            step = 0.1 * p.grad.numpy()
            if style == "optimiser":
                p._writable()[...] -= step
            elif style == "no_grad":
                with minidl.no_grad():
                    p -= step
            elif style == "data":
                p.data -= step
            else:
                p.data = p.data - step
            p.zero_grad()
        losses.append(loss.item())
    assert np.isfinite(losses).all()


def test_a_stale_graph_is_noticed_in_a_training_loop():
    """The classic mistake: two losses from one forward pass, a step between their backward passes."""
    w, v = leaf(3, 3), leaf(3, 1)
    hidden = minidl.tanh(np.ones((2, 3)) @ w)
    out = hidden @ v
    first, second = out.sum(), (out * out).sum()
    first.backward(retain_graph=True)
    v._writable()[...] -= 0.1 * v.grad.numpy()
    with pytest.raises(RuntimeError, match="'y' of matmul.*optimiser's step"):
        second.backward()


def test_results_and_their_views_cannot_be_written_to():
    x = leaf(4)
    y = x * 2.0
    with minidl.no_grad():
        for t in (y.reshape(2, 2), y[1:], y.detach(), y.detach()[1:]):
            with pytest.raises(RuntimeError, match="cannot be written to"):
                t += 1.0
            with pytest.raises(ValueError, match="read-only"):
                t.data[...] = 0.0


def test_results_under_no_grad_are_ordinary_tensors():
    x = leaf(4)
    with minidl.no_grad():
        y = x * 2.0
        y += 1.0
        y.data[0] = 5.0
    w = leaf(4)
    loss = (y * w).sum()
    y.data[1] = 3.0
    with pytest.raises(RuntimeError, match=WRITTEN):
        loss.backward()


def test_contents_are_compared_only_while_the_user_holds_the_array():
    looks = (lambda t: t.data, lambda t: t.data[1:], lambda t: t.detach().data, lambda t: t.numpy())
    w = leaf(3)
    seen = w.data.sum()  # looked at, and not kept
    assert w._memory.exposed is not None and seen == w.data.sum()
    with minidl.no_grad():
        w -= 0.5
    assert w._memory.exposed is None
    for look in looks:
        kept = look(w)
        with minidl.no_grad():
            w -= 0.5
        z = (w * w).sum()
        if kept.flags.writeable:
            kept[...] = 9.0
            with pytest.raises(RuntimeError, match=WRITTEN):
                z.backward()
        del kept
