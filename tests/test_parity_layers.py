"""Every layer against the same layer of PyTorch, over randomly drawn configurations: values, gradients, statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
import minidl.nn.functional as F
from minidl import Tensor, nn

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

few = settings(max_examples=40, deadline=None, derandomize=True, database=None)
dtypes = st.sampled_from([np.float64, np.float32])
seeds = st.integers(0, 2**16)
small = st.integers(1, 3)


def close(ours, theirs, what):
    ours = np.asarray(ours)
    theirs = theirs.detach().numpy()
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, what
    scale = max(1.0, np.abs(theirs).max(initial=0))
    tolerance = 1e-10 if ours.dtype == np.float64 else 5e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def shake(layer, rng):
    """Parameters and running statistics that are not zeros and ones."""
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.dtype.kind == "f":
            tensor.copy_(rng.uniform(0.2, 1.5, tensor.shape) * (rng.choice([-1, 1]) if tensor.requires_grad else 1))


def same_as_torch(ours, theirs, shape, dtype, seed, steps=1, offset=0.0):
    """Load our state into theirs and run both; compare everything, and load their state into ours."""
    rng = np.random.default_rng(seed)
    ours.astype(dtype)
    theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    shake(ours, rng)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for _ in range(steps):
        array = (rng.standard_normal(shape) + offset).astype(dtype)
        x, xt = Tensor(array, requires_grad=True), torch.from_numpy(array).requires_grad_()
        y, yt = ours(x), theirs(xt)
        close(y, yt, "value")
        upstream = rng.standard_normal(y.shape).astype(dtype)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(upstream)
        yt.backward(torch.from_numpy(upstream))
        close(x.grad, xt.grad, "gradient of the input")
        for (name, p), (other, pt) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == other
            close(p.grad, pt.grad, f"gradient of {name}")
    for name, value in ours.state_dict().items():
        if value.dtype.kind == "f":
            close(value, theirs.state_dict()[name], name)
        else:
            assert value == theirs.state_dict()[name].numpy()
    back = theirs.state_dict()
    ours.load_state_dict(back)
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, back[name].numpy(), strict=True)


@few
@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.lists(small, min_size=0, max_size=2), dtypes, seeds)
def test_linear(n_in, n_out, bias, lead, dtype, seed):
    same_as_torch(nn.Linear(n_in, n_out, bias), torch.nn.Linear(n_in, n_out, bias), (*lead, 2, n_in), dtype, seed)


@settings(few, max_examples=100)
@given(st.data(), dtypes, seeds)
def test_conv2d(data, dtype, seed):
    draw = data.draw
    groups, per_in, per_out = draw(small), draw(small), draw(small)
    kernel, stride, dilation = (draw(st.tuples(small, small)) for _ in range(3))
    padding = draw(st.one_of(st.integers(0, 2), st.tuples(st.integers(0, 2), st.integers(0, 2)), st.just("same")))
    if padding == "same":
        stride, kernel = 1, (1, 3)
    size = [1 + d * (k - 1) + draw(st.integers(0, 4)) for d, k in zip(dilation, kernel, strict=True)]
    args = (groups * per_in, groups * per_out, kernel, stride, padding, dilation, groups, draw(st.booleans()))
    shape = (draw(small), args[0], *size)
    same_as_torch(nn.Conv2d(*args), torch.nn.Conv2d(*args), shape, dtype, seed)


@settings(few, max_examples=60)
@given(st.data(), dtypes, seeds)
def test_conv_transpose2d(data, dtype, seed):
    draw = data.draw
    groups, per_in, per_out = draw(small), draw(small), draw(small)
    kernel, stride, dilation = draw(st.tuples(small, small)), draw(small), draw(small)
    padding = draw(st.integers(0, 1))
    extra = draw(st.integers(0, stride - 1))
    size = [draw(st.integers(2, 4)) + 2 * padding for _ in range(2)]
    args = (groups * per_in, groups * per_out, kernel, stride, padding, extra, groups, draw(st.booleans()), dilation)
    shape = (draw(small), args[0], *size)
    same_as_torch(nn.ConvTranspose2d(*args), torch.nn.ConvTranspose2d(*args), shape, dtype, seed)


@settings(few, max_examples=60)
@given(st.data(), dtypes, seeds)
def test_pooling(data, dtype, seed):
    draw = data.draw
    kernel, stride = draw(st.tuples(small, small)), draw(st.one_of(st.none(), small))
    padding, ceil = min(kernel) // 2 * draw(st.integers(0, 1)), draw(st.booleans())
    dilation = draw(st.integers(1, 2)) if padding == 0 else 1
    shape = (draw(small), draw(small), draw(st.integers(5, 8)), draw(st.integers(5, 8)))
    ours, theirs = nn.MaxPool2d(kernel, stride, padding, dilation, ceil), torch.nn.MaxPool2d(
        kernel, stride, padding, dilation, False, ceil
    )
    same_as_torch(ours, theirs, shape, dtype, seed)
    include = draw(st.booleans())
    average = (kernel, stride, padding, ceil, include)
    same_as_torch(nn.AvgPool2d(*average), torch.nn.AvgPool2d(*average), shape, dtype, seed)
    out = draw(st.one_of(small, st.tuples(small, small)))
    same_as_torch(nn.AdaptiveAvgPool2d(out), torch.nn.AdaptiveAvgPool2d(out), shape, dtype, seed)


@settings(few, max_examples=100)
@given(
    st.sampled_from([(4, 3), (2, 3, 5), (2, 1, 3, 4), (3, 2, 1, 1)]),
    st.sampled_from([0.1, 0.7, 1.0, 0.0, None]),
    st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.0, 30.0]), dtypes, seeds,
)  # fmt: skip
def test_batch_norm(shape, momentum, affine, track, training, offset, dtype, seed):
    kinds = ("BatchNorm2d",) * 2 if len(shape) == 4 else ("BatchNorm1d",) * 2
    make = [getattr(module, kind) for module, kind in zip((nn, torch.nn), kinds, strict=True)]
    ours, theirs = (m(shape[1], 1e-3, momentum, affine, track) for m in make)
    if dtype == np.float32:
        offset /= 10  # far from zero both sides round differently
    same_as_torch(ours.train(training), theirs.train(training), shape, dtype, seed, steps=3, offset=offset)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_second_derivatives_of_batch_norm(shape, training):
    """d<d<y, u>/d(x, w, b), v>/d(x, w, u): the gradient of a gradient in random directions."""
    rng = np.random.default_rng(0)
    channels = shape[1]
    arrays = [rng.standard_normal(shape), rng.standard_normal(channels), rng.standard_normal(channels)]
    upstream, directions = rng.standard_normal(shape), [rng.standard_normal(a.shape) for a in arrays]
    running = [rng.standard_normal(channels), rng.uniform(0.5, 2, channels)]

    x, w, b, u = (Tensor(a, requires_grad=True) for a in (*arrays, upstream))
    y = F.batch_norm(x, running[0].copy(), running[1].copy(), w, b, training)
    first = minidl.grad(y, (x, w, b), u, create_graph=True)
    second = minidl.grad(first, (x, w, u), [Tensor(d) for d in directions])

    xt, wt, bt, ut = (torch.from_numpy(a.copy()).requires_grad_() for a in (*arrays, upstream))
    stats = [torch.from_numpy(r.copy()) for r in running]
    yt = torch.nn.functional.batch_norm(xt, *stats, wt, bt, training)
    first_t = torch.autograd.grad(yt, (xt, wt, bt), ut, create_graph=True)
    second_t = torch.autograd.grad(first_t, (xt, wt, ut), [torch.from_numpy(d) for d in directions])
    for ours, theirs, name in zip((*first, *second), (*first_t, *second_t), "xwbXWU", strict=True):
        close(ours.detach(), theirs, name)


ACTIVATIONS = [
    (nn.ReLU(), torch.nn.ReLU()),
    (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
    (nn.Sigmoid(), torch.nn.Sigmoid()),
    (nn.Tanh(), torch.nn.Tanh()),
    (nn.SiLU(), torch.nn.SiLU()),
    (nn.Swish(), torch.nn.SiLU()),
    (nn.GELU(), torch.nn.GELU()),
    (nn.GELU("tanh"), torch.nn.GELU("tanh")),
    (nn.ELU(0.7), torch.nn.ELU(0.7)),
    (nn.Softplus(2.0), torch.nn.Softplus(2.0, threshold=100)),
    (nn.Softmax(1), torch.nn.Softmax(1)),
    (nn.Softmax(-1), torch.nn.Softmax(-1)),
    (nn.LogSoftmax(1), torch.nn.LogSoftmax(1)),
    (nn.Flatten(), torch.nn.Flatten()),
    (nn.Flatten(0, 1), torch.nn.Flatten(0, 1)),
    (nn.Identity(), torch.nn.Identity()),
    (nn.Dropout(0.5).eval(), torch.nn.Dropout(0.5).eval()),
    (nn.Dropout(1.0), torch.nn.Dropout(1.0)),
    (nn.Dropout(0.0), torch.nn.Dropout(0.0)),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("ours, theirs", ACTIVATIONS, ids=lambda layer: type(layer).__module__[:3] + repr(layer))
def test_layers_without_parameters(ours, theirs, dtype):
    same_as_torch(ours, theirs, (2, 3, 4), dtype, 3)
    same_as_torch(ours, theirs, (2, 3, 4), dtype, 4, offset=30.0)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_slopes_beta(beta):
    """Sigmoid and Swish with a slope, fixed and learned, against their formulas written in PyTorch."""
    x = np.random.default_rng(0).standard_normal((3, 4))
    xt, bt = torch.from_numpy(x).requires_grad_(), torch.tensor(beta, dtype=torch.float64, requires_grad=True)
    close(nn.Sigmoid(beta)(x), torch.sigmoid(bt * xt), "sigmoid")
    close(nn.Swish(beta)(x), xt * torch.sigmoid(bt * xt), "swish")
    layer = nn.Swish(beta, learnable=True).double()
    y, yt = layer(x), xt * torch.sigmoid(bt * xt)
    y.backward(x)
    yt.backward(torch.from_numpy(x))
    close(y, yt, "learned swish")
    close(layer.beta.grad, bt.grad, "gradient of beta")


def networks(library):
    """The same model twice: convolutions, norms, pooling, dropout that is off, and the affine end."""
    n = library
    return n.Sequential(
        n.Conv2d(2, 4, 3, padding=1, bias=False), n.BatchNorm2d(4), n.ReLU(), n.MaxPool2d(2),
        n.Sequential(n.Conv2d(4, 4, 3, groups=2), n.BatchNorm2d(4), n.LeakyReLU(0.1)),
        n.AdaptiveAvgPool2d(2), n.Flatten(), n.Dropout(0.0), n.Linear(16, 5), n.BatchNorm1d(5), n.Tanh(),
        n.Linear(5, 3),
    )  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_whole_network(training, dtype):
    ours, theirs = networks(nn).train(training), networks(torch.nn).train(training)
    shapes, twins = ([(n, tuple(v.shape)) for n, v in model.state_dict().items()] for model in (ours, theirs))
    assert shapes == twins
    if dtype == np.float64:
        same_as_torch(ours, theirs, (5, 2, 8, 8), dtype, 0, steps=2)
    else:  # batch norm magnifies rounding: compare the values only
        theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
        x = np.random.default_rng(0).standard_normal((5, 2, 8, 8)).astype(np.float32)
        close(ours(x), theirs(torch.from_numpy(x)), "value")


@pytest.mark.parametrize(
    "kind, args, options",
    [("Linear", (50, 400), {}), ("Conv2d", (8, 64, 5), {"groups": 2}), ("ConvTranspose2d", (8, 64, 5), {"groups": 2})],
)
def test_initial_weights_are_distributed_like_torchs(kind, args, options):
    """Twenty layers of each: the uniform distribution has the same bound and the same mean size."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ours = [getattr(nn, kind)(*args, **options, rng=rng) for _ in range(20)]
    theirs = [getattr(torch.nn, kind)(*args, **options) for _ in range(20)]
    for name in ("weight", "bias"):
        a, b = (np.abs([getattr(layer, name).detach().numpy() for layer in layers]) for layers in (ours, theirs))
        np.testing.assert_allclose(a.max(), b.max(), rtol=0.01)
        np.testing.assert_allclose(a.mean(), b.mean(), rtol=0.07 if name == "bias" else 0.01)
