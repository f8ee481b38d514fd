"""Every differentiable function: its value, its first and second derivatives, its dtypes and its memory."""

import collections
import gc
import importlib
import pkgutil
import weakref

import numpy as np
import pytest

import minidl
import minidl.ops
from minidl import Tensor, engine
from minidl.check import gradcheck
from minidl.check.registry import CASES
from minidl.nn import functional

STEP = 6e-6  # the cube root of the machine epsilon: where rounding and the bend of the function cost the same
each_case = pytest.mark.parametrize("case", CASES, ids=str)
images = pytest.mark.parametrize("case", [c for c in CASES if "2d" in c.name], ids=str)
VIEWS = {  # what may return a view of its argument; everything else owns its result
    "broadcast_to", "expand", "flatten", "flip", "getitem", "permute", "reshape", "squeeze", "swapaxes", "tile",
    "transpose", "unsqueeze", "einsum",
}  # fmt: skip
NO_DERIVATIVE = {
    "Tensor", "arange", "argmax", "argmin", "enable_grad", "eye", "full", "grad", "hessian", "hvp", "is_grad_enabled",
    "jacobian", "linspace", "manual_seed", "no_grad", "ones", "ones_like", "primitive", "rand", "randn", "random",
    "set_grad_enabled", "tensor", "zeros", "zeros_like",
}  # fmt: skip


# --- a differencer of our own, so that the checker is not checked by itself -------------------------------------------


def along(phi, arrays, gradients, rng):
    """The slope of phi in a random direction, by a central difference, must be that of the gradients."""
    direction = [rng.standard_normal(a.shape) for a in arrays]
    up, down = (phi(*(a + s * v for a, v in zip(arrays, direction, strict=True))) for s in (STEP, -STEP))
    terms = [np.asarray(g) * v for g, v in zip(gradients, direction, strict=True) if g is not None]
    exact, size = sum(t.sum() for t in terms), sum(np.abs(t).sum() for t in terms)
    assert abs((up - down) / (2 * STEP) - exact) <= 1e-7 * size + 1e-8, f"{(up - down) / (2 * STEP)} is not {exact}"


def check_first(f, arrays, rng):
    """d <u, f(x)> / dx with a random u."""
    u = rng.standard_normal(np.shape(f(*arrays)))
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    along(lambda *a: np.vdot(u, f(*a)), arrays, minidl.grad(f(*leaves), leaves, Tensor(u)), rng)


def check_second(f, arrays, rng):
    """The derivative, with respect to x and to u, of <v, d <u, f(x)> / dx> with random u and v."""
    u = rng.standard_normal(np.shape(f(*arrays)))
    v = [rng.standard_normal(a.shape) for a in arrays]

    def psi(u, *x, create_graph=False):
        g = minidl.grad(f(*x), x, u, create_graph=create_graph)
        return sum((a * b).sum() for a, b in zip(g, v, strict=True))

    leaves = [Tensor(a, requires_grad=True) for a in (u, *arrays)]
    gradients = minidl.grad(psi(*leaves, create_graph=True), leaves, allow_unused=True)
    along(lambda *a: psi(*(Tensor(b, requires_grad=True) for b in a)).item(), [u, *arrays], gradients, rng)


def check_third(f, arrays, rng):
    """One order more, along random directions: d/dz <w, d/dz <v, d <u, f(x)> / dx>> with z = (u, x)."""
    u = rng.standard_normal(np.shape(f(*arrays)))
    v, w = ([rng.standard_normal(a.shape) for a in some] for some in (arrays, [u, *arrays]))

    def chi(*z, create_graph=False):
        g = minidl.grad(f(*z[1:]), z[1:], z[0], create_graph=True)
        psi = sum((a * b).sum() for a, b in zip(g, v, strict=True))
        h = minidl.grad(psi, z, create_graph=create_graph, allow_unused=True)
        return sum((a * b).sum() for a, b in zip(h, w, strict=True) if a is not None)

    leaves = [Tensor(a, requires_grad=True) for a in (u, *arrays)]
    value = chi(*leaves, create_graph=True)
    gradients = minidl.grad(value, leaves, allow_unused=True) if value.requires_grad else []
    gradients = gradients or [None] * len(leaves)
    along(lambda *z: chi(*(Tensor(a, requires_grad=True) for a in z)).item(), [u, *arrays], gradients, rng)


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_public_function_is_in_the_table():
    covered = {case.name for case in CASES}
    known = {id(case.function) for case in CASES} | {id(getattr(minidl, n)) for n in covered if hasattr(minidl, n)}
    missing = {n for n in minidl.__all__ if n not in covered | NO_DERIVATIVE}
    missing |= {
        f"nn.functional.{n}" for n in functional.__all__
        if f"nn.functional.{n}" not in covered and id(getattr(functional, n)) not in known
    }  # fmt: skip
    assert not missing, f"register sample inputs for {sorted(missing)} in minidl/check/registry.py"


def test_tensor_methods_are_functions_of_the_table():
    """A differentiable method is one of the functions above, or an operator, or listed here."""
    plain = {
        "T", "backward", "clone", "copy_", "data", "detach", "dim", "double", "dtype", "float", "grad", "is_leaf",
        "item",
        "mT", "ndim", "numpy", "register_hook", "requires_grad", "requires_grad_", "retain_grad", "shape", "size",
        "view",
        "zero_grad", "astype", "hooks", "tolist", "numel", "fill_", "zero_", "masked_fill", "long",
    }  # fmt: skip
    functions = {id(getattr(minidl, n)) for n in minidl.__all__}
    unknown = {n for n,
        f in vars(Tensor).items() if not n.startswith("_") and n not in plain and id(f) not in functions}
    assert not unknown


def lifted(case, arguments):
    """The arguments with Tensors in the places that are differentiable."""
    places = case.differentiable()
    return [Tensor(a, requires_grad=True) if k in places else a for k, a in enumerate(arguments)]


def seed_of(out):
    """An upstream gradient that is symmetric in nothing."""
    return np.cos(np.arange(out.size) + 1.0).reshape(out.shape).astype(out.dtype)


def value_and_gradients(f, leaves, create_graph=False):
    out = f(*leaves)
    seed = Tensor(seed_of(out), requires_grad=create_graph)
    return [out, *minidl.grad(out, leaves, seed, create_graph=create_graph)]


def leaves_of(arrays):
    return [Tensor(a, requires_grad=True) for a in arrays]


def assert_same(found, expected, rtol=1e-12, atol=1e-13):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=rtol, atol=atol)


@each_case
def test_value(case, rng):
    arguments = case.arguments(rng)
    expected = case.expected(*arguments) if case.oracle else case.f(*arguments)
    on_arrays, on_tensors = case.f(*arguments), case.f(*lifted(case, arguments))
    assert not isinstance(on_arrays, Tensor) and isinstance(on_tensors, Tensor)
    for out in (on_arrays, on_tensors.numpy()):
        assert np.shape(out) == np.shape(expected)
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)


@each_case
def test_derivatives(case, rng):
    f, arrays = case.problem(rng)
    check_first(f, arrays, rng)
    check_second(f, arrays, rng)
    check_third(f, arrays, rng)


@each_case
def test_float32_stays_float32(case):
    (f, arrays), (f32, single) = (case.problem(np.random.default_rng(0), dtype) for dtype in (np.float64, np.float32))
    out, *first = value_and_gradients(f32, leaves_of(single), create_graph=True)
    second = minidl.grad(sum((g * g).sum() for g in first), first[:1], allow_unused=True)
    assert {t.dtype for t in (out, *first, *second) if t is not None} == {np.dtype(np.float32)}
    assert_same((out, *first), value_and_gradients(f, leaves_of(arrays)), rtol=2e-3, atol=1e-4)


@each_case
def test_the_checker_agrees(case):
    """`minidl gradcheck` walks the same table: no false alarm, and nothing vacuous that should not be."""
    f, arrays = case.problem(np.random.default_rng(0))
    report = gradcheck(f, tuple(arrays), 2, rng=0)
    assert report.vacuous if case.flat else report, f"{case}\n{report}"


@images
def test_images_with_both_backends(case, backend, rng):
    test_value(case, rng)
    test_derivatives(case, rng)
    test_float32_stays_float32(case)


LAYOUTS = {  # how to store an array, and how to look at the store so that the array is seen again
    "transposed": (lambda a: np.array(a.T), lambda a: a.T),
    "sparse": (lambda a: np.array(np.kron(a, np.ones((2,) * a.ndim))),
        lambda a: a[(..., *[slice(None, None, 2)] * a.ndim)]),
    "backwards": (lambda a: np.array(np.flip(a)), lambda a: a[(..., *[slice(None, None, -1)] * a.ndim)]),
}


@each_case
def test_strides_do_not_matter(case, rng):
    """Transposed, sparse, backwards and read-only inputs give the same, and stay as they are."""
    f, arrays = case.problem(rng)
    expected = value_and_gradients(f, leaves_of(arrays))
    for store, look in LAYOUTS.values():
        stored = [store(a) for a in arrays]
        before = [a.copy() for a in stored]
        for a in stored:
            a.flags.writeable = False
        np.testing.assert_allclose(f(*map(look, stored)), expected[0].detach(), rtol=1e-12, atol=1e-13)
        leaves = leaves_of(stored)
        assert_same(value_and_gradients(f, [look(t) for t in leaves]), expected)
        for a, b, t in zip(stored, before, leaves, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(t.numpy(), b)


@each_case
def test_nothing_is_aliased(case, rng):
    """A result is its own memory (but for views), a gradient always is."""
    f, arrays = case.problem(rng)
    leaves = leaves_of(arrays)
    out = f(*leaves)
    if case.name not in VIEWS:
        assert not any(np.may_share_memory(out.numpy(), t.numpy()) for t in leaves)
    seed = seed_of(out)
    out.backward(seed)
    grads = [t.grad.numpy().base for t in leaves]
    assert all(g.flags.owndata and g.flags.writeable for g in grads)
    others = [seed, out.numpy(), *(t.numpy() for t in leaves)]
    for k, g in enumerate(grads):
        assert not any(np.may_share_memory(g, a) for a in others + grads[:k])
    for t, a in zip(leaves, arrays, strict=True):
        np.testing.assert_array_equal(t.numpy(), a)
    np.testing.assert_array_equal(seed, seed_of(out))


class Traces:
    """An observer that remembers every result and every gradient, without keeping them alive."""

    def __init__(self):
        self.refs = []

    def forward(self, op, args, result):
        self.refs += [weakref.ref(result), weakref.ref(result._array)]

    def backward(self, node, k, gradient):
        self.refs.append(weakref.ref(gradient))


def forward_and_backward(case, order):
    f, arrays = case.problem(np.random.default_rng(0))
    leaves = leaves_of(arrays)
    out = f(*[t * 1.0 for t in leaves])
    if order == 1:
        out.backward(seed_of(out))
    if order == 2:  # by grad: with backward a leaf's .grad would hold the graph that holds the leaf
        seed = Tensor(seed_of(out), requires_grad=True)
        g = minidl.grad(out, leaves, seed, create_graph=True)
        minidl.grad(sum((a * a).sum() for a in g), [seed, *leaves], allow_unused=True)


@each_case
def test_the_graph_is_freed(case, monkeypatch):
    """Without the garbage collector: dropped unused, after backward, and after a second backward."""
    traces = Traces()
    monkeypatch.setattr(engine, "_observers", [traces])
    gc.disable()
    try:
        for order in (0, 1, 2):
            forward_and_backward(case, order)
            assert traces.refs and not [ref() for ref in traces.refs if ref() is not None], f"order {order}"
    finally:
        gc.enable()


# --- the tester is tested --------------------------------------------------------------------------------------------


class Uses:
    """An observer that notes which rules a backward pass uses: (op, place, was it to be differentiated again?)."""

    def __init__(self):
        self.seen = set()

    def forward(self, op, args, result):
        pass

    def backward(self, node, k, gradient):
        self.seen.add((node.op, k, isinstance(gradient, Tensor)))


@pytest.fixture(scope="module")
def users():
    """(op, place, recorded?) -> the cases that use this rule."""
    found = collections.defaultdict(list)
    for case in CASES:
        uses = Uses()
        engine._observers.append(uses)
        try:
            f, arrays = case.problem(np.random.default_rng(0))
            check_second(f, arrays, np.random.default_rng(0))
        finally:
            engine._observers.remove(uses)
        for use in uses.seen:
            found[use].append(case)
    return found


def all_rules():
    modules = [importlib.import_module(m.name) for m in pkgutil.iter_modules(minidl.ops.__path__, "minidl.ops.")]
    ops = {f.op.name: f.op for m in modules for f in vars(m).values() if hasattr(f, "op")}
    return [(ops[name], k) for name in sorted(ops) for k, rule in enumerate(ops[name].rules) if rule]


each_rule = pytest.mark.parametrize(("op", "place"), all_rules(), ids=lambda v: getattr(v, "name", None))


ADJOINTS = {"avg_pool2d_input", "conv2d_weight", "put_along", "scatter", "spread"}  # first met inside rules


@each_rule
def test_every_rule_is_exercised(op, place, users):
    assert users[op, place, False], f"no case differentiates {op.name} with respect to {op.params[place]}"
    assert users[op, place, True] or op.name in ADJOINTS, f"no case differentiates twice through {op.name}"


WRONG = {"sign": -1.0, "factor": 1.01, "zero": 0.0}
ALWAYS_ZERO = {"sign", "floor_divide", "nearest"}


def red(check, case):
    f, arrays = case.problem(np.random.default_rng(0))
    try:
        check(f, arrays, np.random.default_rng(0))
    except AssertionError:
        return True
    return False


@each_rule
@pytest.mark.parametrize("factor", WRONG.values(), ids=WRONG)
def test_a_wrong_rule_is_caught(op, place, factor, users, monkeypatch):
    """At first order; and at second order where only the derivative of the derivative is wrong."""
    right = op.rules[place]
    monkeypatch.setattr(op, "rules", [*op.rules])
    op.rules[place] = lambda g, *saved: right(g, *saved) * factor
    check = check_second if op.name in ADJOINTS else check_first
    assert op.name in ALWAYS_ZERO or any(red(check, case) for case in users[op, place, False])
    op.rules[place] = lambda g, *saved: right(g, *saved) * (factor if isinstance(g, Tensor) else 1.0)
    assert op.name in ALWAYS_ZERO | ADJOINTS or any(red(check_second, case) for case in users[op, place, True])


PIECEWISE = {"relu", "leaky_relu", "abs", "sign", "maximum", "minimum", "clip", "where",
    "remainder"}  # only compare or round what they keep


@each_rule
def test_a_constant_in_place_of_a_variable_is_caught(op, place, users, monkeypatch):
    """A rule that is right, but forgets that what it uses depends on the inputs: wrong only at second order."""
    right, forgot = op.rules[place], []

    def rule(g, *saved):
        forgot.extend(s for s in saved if isinstance(s, Tensor) and s.requires_grad)
        return right(g, *(s.detach() if isinstance(s, Tensor) else s for s in saved))

    monkeypatch.setattr(op, "rules", [*op.rules])
    op.rules[place] = rule
    caught = any([red(check_second, case) for case in users[op, place, True]])
    assert caught or not forgot or op.name in PIECEWISE


MISSING = {  # the rule without one of its terms
    ("softmax", 0): lambda g, out, axis: out * g,
    ("log_softmax", 0): lambda g, out, axis: g,
    ("tanh", 0): lambda g, out: g,
    ("div", 1): lambda g, out, y: -g / y,
    ("silu", 0): lambda g, x: g * minidl.sigmoid(x),
    ("expm1", 0): lambda g, out: g * out,
}


@pytest.mark.parametrize(("name", "place"), MISSING)
def test_a_missing_term_is_caught(name, place, monkeypatch):
    op, wrong = getattr(minidl, name).op, MISSING[name, place]
    cases = [case for case in CASES if case.name == name and not case.flat and place in case.differentiable()]
    right = op.rules[place]
    monkeypatch.setattr(op, "rules", [*op.rules])
    op.rules[place] = wrong
    assert all([red(check_first, case) for case in cases])
    op.rules[place] = lambda g, *saved: (wrong if isinstance(g, Tensor) else right)(g, *saved)
    assert all([red(check_second, case) for case in cases])
