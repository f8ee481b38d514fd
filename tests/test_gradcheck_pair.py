"""What a grader builds on: gradients of chosen inputs, values, whatever a student may return, and how to repeat it."""

import numpy as np
import pytest

import minidl
from minidl.check import compare_value, gradcheck, gradcheck_pair

pytestmark = pytest.mark.filterwarnings("error")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


X, W, B = INPUTS = numbers(5, 4), numbers(4, 3, seed=1), numbers(3, seed=2)


def affine(x, w, b):
    return x @ w + b


def affine_back(dout, x, w, b):
    return dout @ w.T, x.T @ dout, dout.sum(0)


def check(backward, forward=None, inputs=INPUTS, reference=affine, **options):
    return gradcheck_pair(forward, backward, inputs, reference=reference, rng=0, **options)


# --- wrt -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrt", "backward", "wrong"), [
    ("w", affine_back, []),
    ("w", lambda d, x, w, b: (None, x.T @ d, None), []),
    ("w", lambda d, x, w, b: (None, x.T @ d), []),  # as many as there are places for
    ("w", lambda d, x, w, b: x.T @ d, []),  # that of w alone
    (["w"], lambda d, x, w, b: {"w": x.T @ d}, []),
    (("b", "w"), lambda d, x, w, b: (x.T @ d, d.sum(0)), []),  # in the order of the inputs
    ("w", lambda d, x, w, b: ("?", x.T @ d, np.zeros(99)), []),  # the others are not looked at
    ("w", lambda d, x, w, b: (d @ w.T, -x.T @ d, d.sum(0)), ["w"]),
    ("x", lambda d, x, w, b: x.T @ d, ["x"]),
    (("x", "w"), lambda d, x, w, b: (d @ w.T, None, d.sum(0)), ["w"]),
])  # fmt: skip
def test_wrt_compares_only_these(wrt, backward, wrong):
    report = check(backward, wrt=wrt)
    assert {r.name for r in report.results} == set([wrt] if isinstance(wrt, str) else wrt)
    assert [r.name for r in report.failed] == wrong and bool(report) is not bool(wrong), str(report)


def test_wrt_keeps_the_explanations():
    x, y = numbers(4, 3), numbers(4, 3, seed=1)
    report = check(lambda d, x, y: (None, d * y * np.cos(x)), None, (x, y), lambda x, y: y * np.sin(x), wrt="y")
    assert report["y"].finding.key == "swapped" and "'x'" in report["y"].finding.what
    assert check(lambda d, x, w, b: (1, 2, 3, 4), wrt="w").keys == ["count"]
    assert check(lambda d, x, w, b: {"dw": x.T @ d}, wrt="w")["w"].finding.cause.startswith("the keys of the dict")
    flat = check(lambda d, x, y: (d, 0 * y), None, (x, y), lambda x, y: x + 0 * y, wrt="y")
    assert flat.vacuous and not flat


@pytest.mark.parametrize(("wrt", "words"), [
    ("z", "there are x, w, b"), ((), "must name inputs"), (["w", "z"], "there are x, w, b"),
])  # fmt: skip
def test_wrt_unknown(wrt, words):
    with pytest.raises(ValueError, match=words):
        check(affine_back, wrt=wrt)


# --- what a student may return ---------------------------------------------------------------------------------------


class Array(np.ndarray):
    """An array that agrees with everything."""

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        return True


class Text(str):
    def __repr__(self):
        raise RuntimeError("no repr")


RAGGED = np.array([[1.0], [2.0, 3.0]], dtype=object)
ODD = {
    "None": (None, "missing"), "text": ("w", "not_array"), "no repr": (Text("w"), "not_array"),
    "ragged list": ([[1.0], [2.0, 3.0]], "not_array"), "list": (W.tolist(), "not_array"),
    "objects": (RAGGED, "not_array"), "complex": (W + 0j, "not_array"), "text array": (W.astype(str), "not_array"),
    "integers": (np.full((4, 3), 2), "dtype"), "mask": (W > 0, "dtype"), "0-d": (np.array(1.0), "shape"),
    "number": (1.0, "shape"), "subclass": (W.view(Array), "not_array"), "matrix": (W.view(np.matrix), "not_array"),
    "masked": (np.ma.masked_all((4, 3)), "not_array"), "generator": ((row for row in W), "not_array"),
    "huge": (np.broadcast_to(0.0, (10**6, 10**6)), "shape"), "large": (np.zeros((99, 99)), "shape"),
    "empty": (np.zeros((0, 3)), "shape"), "function": (np.sum, "not_array"), "nan": (W * np.nan, "nan"),
    "Tensor": (minidl.tensor(W), "not_array"), "dates": (W.astype("M8[s]"), "not_array"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_gradients_are_found_and_the_others_keep_their_marks(odd):
    value, key = ODD[odd]
    report = check(lambda d, x, w, b: (d @ w.T, value, d.sum(0)))
    assert {r.name: r.verdict for r in report.results} == {"x": "right", "w": "wrong", "b": "right"}
    assert report["w"].finding.key == key, str(report)
    assert not check(lambda d, x, w, b: value) and not check(lambda d, x, w, b: value, wrt="w")
    assert not check(affine_back, lambda x, w, b: value, cache=True)  # what forward returns instead of (out, cache)
    assert not gradcheck_pair(lambda x, w, b: value, affine_back, INPUTS, rng=0)


@pytest.mark.parametrize("odd", ODD)
def test_odd_values(odd):
    value, key = ODD[odd]
    result = compare_value("out", value, W, inputs={"x": W, "y": X})
    if odd in ("integers", "mask"):  # whatever they are, the values are wrong too
        assert result.verdict == "wrong"
    else:
        assert (result.verdict, result.finding.key) == ("wrong", key)
    assert result.lines()[0].startswith("out (4, 3): wrong")


def test_gradients_that_alias_something_are_right_if_their_numbers_are():
    assert check(lambda d, x, y: (d, d), None, (X, 2 * X), lambda x, y: x + y)
    assert not check(lambda d, x, y: (x, y), None, (X, 2 * X), lambda x, y: x + y)
    kept = np.zeros((4, 3))

    def back(dout, x, w, b):
        kept[...] = x.T @ dout  # the same memory in every call
        return dout @ w.T, kept, dout.sum(0)

    assert check(back)
    assert gradcheck_pair(lambda x, w, b: np.add(x @ w, b, out=out), affine_back, INPUTS, rng=0)


out = np.zeros((5, 3))  # where a forward keeps its result


def times(n, after=0.0):
    """A backward that is right for its first n calls."""
    left = [n]

    def back(dout, x, w, b):
        left[0] -= 1
        return tuple(g * (1.0 if left[0] >= 0 else after) for g in affine_back(dout, x, w, b))

    return back


@pytest.mark.parametrize("calls", range(5))
def test_a_backward_that_works_only_a_few_times(calls):
    assert not check(times(calls)) and not check(times(calls), wrt="w")


generator = np.random.default_rng(0)


def random_back(*args):
    return tuple(g * (1 + 1e-3 * generator.standard_normal(g.shape)) for g in affine_back(*args))


def looks(d, *args):
    """Only for an upstream gradient that looks like the one of a check."""
    return tuple(g * bool(np.abs(d).max() <= 1.5) for g in affine_back(d, *args))


@pytest.mark.parametrize(("backward", "key"), [
    (times(2), "random"), (random_back, None), (looks, "not_linear"),
    (lambda d, *args: affine_back(np.clip(d, -1.6, 1.6), *args), "not_linear"),
    (lambda d, *args: affine_back(d * np.abs(d), *args), None),
])  # fmt: skip
def test_a_backward_that_is_right_by_luck_does_not_pass(backward, key):
    report = check(backward)
    assert len(report.failed) == 3 and (key is None or set(report.keys) == {key}), str(report)


@pytest.mark.parametrize("error", [SystemExit(1), RecursionError("deep"), NotImplementedError(), StopIteration(),
                                   KeyError("w"), MemoryError()])  # fmt: skip
def test_exceptions_become_findings(error):
    def raises(*args):
        raise error

    for report in (check(raises), check(affine_back, raises, cache=True)):
        assert report.keys == ["raised"] and report.error is error and type(error).__name__ in str(report)


def test_an_exception_without_a_message():
    class Mute(Exception):
        def __str__(self):
            raise KeyError

    def raises(*args):
        raise Mute

    assert "Mute" in str(check(raises))


def test_the_cache_is_forwards_and_the_outputs_are_the_references():
    def back(dout, cache):
        return affine_back(dout, *cache)

    for cache in (None, True):
        assert check(back, lambda *args: (0.0, args), cache=cache)
        assert check(back, lambda *args: ("anything", args), cache=cache)
    assert check(lambda d, c: 2 * d * c, lambda x: (x * x, x), (X,), lambda x: x * x, cache=True)
    assert check(back, lambda *args: affine(*args), cache=True).keys == ["no_cache"]
    assert check(lambda dout, cache: dout, lambda x: (x, None), (X,), lambda x: x + 0, cache=True)


# --- values ----------------------------------------------------------------------------------------------------------

Y = X @ W + B
M = numbers(4, 4, seed=5)
N = numbers(4, 4, 3, seed=6)


def changed(a, index, value=7.0):
    a = a.copy()
    a[index] = value
    return a


VALUES = [  # (name, got, expected, key, words, inputs)
    ("nan", changed(Y, 0, np.nan), Y, "nan", "3 of 15 elements are NaN", {}),
    ("zero", 0 * Y, Y, "zero", "zero everywhere", {}),
    ("sign", -Y, Y, "sign", "sign is flipped", {}),
    ("double", 2 * Y, Y, "double", "2 times the right value", {}),
    ("half", Y / 2, Y, "half", "1/2 times", {}),
    ("sum for mean", X.sum(0), X.mean(0), "times_n", "N = 5, the length of axis 0 of x", {"x": X}),
    ("mean for sum", X.mean(0), X.sum(0), "over_n", "N = 5", {"x": X}),
    ("correction", X.var(0), X.var(0, ddof=1), "correction", "N - 1 confused", {"x": X}),
    ("transposed", M.T, M, "transposed", "transposed", {}),
    ("transposed shape", Y.T, Y, "transposed", "(3, 5) for (5, 3)", {}),
    ("reshaped", Y.T.reshape(5, 3), Y, "reshaped", "reshape was used", {}),
    ("flipped", np.flip(Y, 0).copy(), Y, "flipped", "reversed order along axis 0", {}),
    ("shifted", np.roll(Y, 1, 0), Y, "shifted", "shifted by 1", {}),
    ("one element", changed(Y, (2, 1)), Y, "one_element", "[2, 1]", {}),
    ("last row", changed(Y, -1, 0.0), Y, "one_slice", "(the last)", {}),
    ("leaky relu", np.maximum(X, 0), np.where(X > 0, X, 0.3 * X), "one_sign", "negative", {"x": X}),
    ("border", changed(N, (slice(None), 0), 0.0) * np.pad(np.ones((4, 2, 1)), ((0, 0), (1, 1), (1, 1))), N, "border",
     "padding", {}),
    ("permuted", Y[[2, 0, 3, 1, 4]], Y, "permuted", "wrong places", {}),
    ("absolute", np.abs(Y), Y, "absolute", "absolute value", {}),
    ("not reduced", X * X, (X * X).sum(1), "unsummed", "not summed over axis 1", {}),
    ("not averaged", X * X, (X * X).mean(), "unsummed", "not averaged over axis (0, 1)", {}),
    ("keepdims", X.sum(1, keepdims=True), X.sum(1), "unsummed", "(5, 1) for (5,)", {}),
    ("other shape", Y[:, 0], Y, "shape", "(5,) for (5, 3)", {}),
    ("offset", Y + 0.5, Y, "offset", "the same amount, 0.5", {}),
    ("unchanged", X, np.tanh(X), "unchanged", "the input 'x', unchanged", {"x": X}),
    ("bias left out", X @ W, Y, "left_out", "the term 'b' is missing", {"x": X, "w": W, "b": B}),
    ("bias twice", Y + B, Y, "left_out", "the term 'b' is too much", {"x": X, "w": W, "b": B}),
    ("softmax undivided", np.exp(X), np.exp(X) / np.exp(X).sum(1, keepdims=True), "missing_term", "along axis 1",
     {"x": X}),
    ("other statistics", (X - X.mean(0)) / X.std(0), (X - 0.1) / 0.7, "statistics", "along axis 0", {"x": X}),
    ("scale left out", X, X * numbers(4, seed=3), "unchanged", "", {"x": X}),
    ("factor", np.tanh(X), np.tanh(X) * numbers(4, seed=3), "factor", "'gamma' is missing",
     {"x": X, "gamma": numbers(4, seed=3)}),
    ("nearly", Y * (1 + 1e-4 * np.sign(X[:, :3])), Y, "inexact", "nearly right", {}),
    ("nothing of it", numbers(5, 3, seed=9), Y, "value", "no simple pattern", {}),
    ("float32", Y.astype(np.float32), Y, "dtype", "float32 for float64", {}),
    ("integers for floats", np.full(3, 2), np.full(3, 2.0), "dtype", "int64 for float64", {}),
    ("floats for labels", np.array([0.0, 2.0]), np.array([0, 2]), "dtype", "float64 for int64", {}),
    ("mask left out", Y, np.where(Y > 0, -np.inf, Y), "finite", "not the infinity", {}),
    ("not zero", X, 0 * X, "value", "", {}),
]  # fmt: skip


@pytest.mark.parametrize(("got", "expected", "key", "words", "inputs"), [pytest.param(*r[1:], id=r[0]) for r in VALUES])
def test_wrong_values_are_explained_as_values(got, expected, key, words, inputs):
    result = compare_value("out", got, expected, inputs=inputs)
    text = "\n".join(result.lines())
    assert (result.verdict, result.order) == ("wrong", 0) and (key is None or result.finding.key == key), text
    assert words in text
    assert not [w for w in ("gradient", "backward", "chain rule", "difference", "first order") if w in text], text


def test_right_values():
    result = compare_value("out", Y * (1 + 1e-9), Y)
    assert (result.verdict, result.finding, result.checked, result.wrong) == ("right", None, 15, 0)
    assert 0 < result.error < 2e-9 and result.lines() == ["out (5, 3): right"]
    assert compare_value("out", Y * (1 + 1e-4), Y, rtol=1e-3).verdict == "right"
    assert compare_value("out", Y + 1e-3, Y, atol=1e-2).verdict == "right"
    assert compare_value("loss", 0.25, np.float64(0.25)).verdict == "right"
    assert compare_value("loss", np.float64(0.25), 0.25).verdict == "right"
    assert compare_value("labels", np.array([1, 2], np.int32), np.array([1, 2])).verdict == "right"
    assert compare_value("masked", np.array([1.0, -np.inf]), np.array([1.0, -np.inf])).verdict == "right"
    assert compare_value("empty", np.zeros((0, 2)), np.zeros((0, 2))).verdict == "empty"
    flat = compare_value("zeros", np.zeros(3), np.zeros(3))
    assert flat.verdict == "flat" and "zeros would pass" in flat.lines()[0]


def test_the_worst_value_and_its_place():
    result = compare_value("out", changed(Y, (2, 1), 70.0), Y)
    assert (result.index, result.analytic, result.numeric, result.wrong) == ((2, 1), 70.0, Y[2, 1], 1)
    assert result.error == pytest.approx((70 - Y[2, 1]) / np.abs(Y).max())
    assert result.lines()[1] == f"  worst at [2, 1]: got 70, expected {Y[2, 1]:.8g}"
    assert compare_value("loss", 0.5, 0.25).lines()[1] == "  got 0.5, expected 0.25"
    tiny = np.array([1.0, 1e-9])
    assert compare_value("out", np.array([1.0, 0.0]), tiny).verdict == "right"  # relative to the largest


def test_expected_values_make_sense():
    for expected in (None, "?", np.array([np.nan]), [1.0], W + 0j):
        with pytest.raises(ValueError, match="compare_value: expected"):
            compare_value("out", Y, expected)


# --- how to repeat a check -------------------------------------------------------------------------------------------


def square(x):
    return x * x


def test_a_pairs_call_repeats_it():
    def backward(dout, cache):
        return dout * 2.00003 * cache

    def forward(x):
        return x * 3, x

    given = dict(reference=square, cache=True, wrt="x", rtol=1e-4, atol=1e-9, elements=3, limit=100, kinked_rtol=1e-3)
    report = gradcheck_pair(forward, backward, X, rng=3, **given)
    assert report and not gradcheck_pair(forward, backward, X, rng=3, **given | {"rtol": 1e-6})
    assert report.call == (
        "minidl.check.gradcheck_pair(forward, backward, x, reference=square, cache=True, wrt='x', rtol=0.0001, "
        "kinked_rtol=0.001, atol=1e-09, elements=3, limit=100, rng=3)"
    )
    again = eval(report.call, {"minidl": minidl, "forward": forward, "backward": backward, "x": X, "square": square})
    assert again and again.worst == report.worst
    anonymous = gradcheck_pair(None, lambda d, w, x: (d, d), {"w": X, "x": X}, reference=lambda w, x: w + x, rng=0)
    assert anonymous.call == (
        "minidl.check.gradcheck_pair(None, backward, {'w': w, 'x': x}, reference=reference, rng=0)"
    )


def test_gradchecks_call_repeats_it():
    report = gradcheck(lambda x, n: minidl.tile(x, n), (X, 2), rng=3, rtol=1e-5, order=1, atol=1e-9, freeze=True)
    assert report.call == "minidl.gradcheck(f, (x, n), order=1, freeze=True, rtol=1e-05, atol=1e-09, rng=3)"
    assert gradcheck(minidl.tanh, X, rng=3).call == "minidl.gradcheck(tanh, x, order=2, rng=3)"


# --- kinks -----------------------------------------------------------------------------------------------------------

ON = np.array([-1.0, 0.0, 2.0, -0.5, 1.3, -0.2])


def leaky(x):
    return np.where(x > 0, x, 0.1 * x)


@pytest.mark.parametrize(("reference", "backward", "key"), [
    (leaky, lambda d, x: d * (x > 0), "one_sign"),  # at 0 too
    (leaky, lambda d, x: d * (x > 0) + 3 * d * (x == 0), "one_sign"),
    (np.abs, lambda d, x: -d * np.sign(x) + 3 * d * (x == 0), "sign"),
    (leaky, lambda d, x: d * np.where(x > 0, 1, 0.1) * (x != 0), "kink"),
    (np.abs, lambda d, x: d * np.where(x == 0, 3, np.sign(x)), "kink"),
    (np.abs, lambda d, x: d * np.where(x == 0, np.nan, np.sign(x)), "nan"),
])  # fmt: skip
def test_wrong_elements_at_a_kink_do_not_hide_the_pattern(reference, backward, key):
    report = gradcheck_pair(None, backward, ON, reference=lambda x: reference(x), rng=0)
    assert report.keys == [key], str(report)


def test_what_is_allowed_at_a_kink():
    def back(at_zero):
        return lambda d, x: d * np.where(x == 0, at_zero, np.where(x > 0, 1, 0.1))

    report = gradcheck_pair(leaky, lambda d, x: d * (x > 0), ON, rng=0)
    assert report["x"].index == (5,)  # farther from what is allowed than the kink is
    for right in (0.1, 0.5, 1.0):
        assert gradcheck_pair(leaky, back(right), ON, rng=0)
    for wrong in (0.0, 1.1):
        report = gradcheck_pair(leaky, back(wrong), ON, rng=0)
        finding, u = report["x"].finding, report["x"].analytic / wrong if wrong else None
        assert report["x"].index == (1,) and "kink" in finding.what and "two sides" in finding.what
        assert u is None or all(f"{slope:.6g}" in finding.what for slope in (u, 0.1 * u, 1.1 * u))


# --- inside the function: whose rule, which path ---------------------------------------------------------------------


@minidl.primitive
def cube(x):
    return x**3


cube.vjp(lambda g, x: -3.0 * x * x * g)  # the place of this rule


def test_what_is_found_inside_is_said_of_the_rule():
    finding = gradcheck(lambda x: minidl.exp(cube(x) + x), X, rng=0, order=1)["x"].finding
    assert finding.key == "sign" and finding.what.startswith("in the rule of `cube` (")
    assert "for 'x': the sign is flipped" in finding.what and finding.cause.startswith("in that rule, a minus")
    assert finding.hint == "the rule of `cube`: the signs, term by term"
    finding = gradcheck(lambda x: cube(x) * 2, X, rng=0, order=1)["x"].finding  # the tensor shows it itself
    assert finding.what.startswith("the sign") and "the rule of `cube`" in finding.hint


def test_the_place_of_the_rule_of_a_primitive_that_is_checked_itself():
    hint = gradcheck(cube, X, rng=0)["x"].finding.hint
    assert "# the place of this rule" in hint and "gradcheck(cube" not in hint


PATHS = {
    "a factor": lambda x: x.tanh() * minidl.tensor(np.exp(x.numpy())),
    "a plain array": lambda x: x.tanh() * np.exp(x.numpy()),
    "a number": lambda x: x.tanh() * float(np.exp(x.numpy()).sum()),
    "deeper": lambda x: (minidl.softmax(x.sin(), -1) + minidl.tensor(2 * x.numpy())).exp(),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_second_path_that_is_cut(name):
    finding = gradcheck(PATHS[name], X, rng=0)["x"].finding
    assert finding.key == "cut" and "a path from 'x' is cut" in finding.what and ".numpy()" in finding.cause


def test_constants_that_do_not_matter_are_not_accused():
    def shifted(x):  # the shift moves with x and has no influence
        y = minidl.exp(x - minidl.tensor(x.numpy().max(-1, keepdims=True)))
        return y / y.sum(-1, keepdims=True)

    assert gradcheck(shifted, X, rng=0)
    finding = gradcheck(lambda x: shifted(cube(x)) + x, X, rng=0)["x"].finding
    assert finding.key == "sign" and "`cube`" in finding.what


# --- names of things -------------------------------------------------------------------------------------------------


def test_tolerance_answers_with_a_bool():
    from minidl.check.numeric import Slope, Tolerance

    tolerance = Tolerance(1e-6, 1e-5, 0.0)
    for slope in (Slope(np.float64(1.0), 0.0), Slope(np.float64(1.0), 0.0, "at", np.float64(0.0), np.float64(2.0))):
        assert tolerance.accepts(slope, np.float64(1.0)) is True and tolerance.accepts(slope, np.float64(9.0)) is False


def test_a_primitive_made_from_a_lambda_has_a_name():
    anonymous = minidl.primitive(lambda x: x @ x)
    with pytest.raises(ValueError, match=rf"^lambda of line \d+: .*x: array float64 \({X.shape[0]}, "):
        anonymous(X)


def test_a_notebook_cell_is_no_temporary_file():
    from minidl.anomaly import AnomalyError

    namespace = {"minidl": minidl}
    exec(compile("def f(x):\n    return x.log()", "/tmp/ipykernel_123/4567.py", "exec"), namespace)
    with pytest.raises(AnomalyError, match="(?m)^a notebook cell, line 2, in f"), minidl.detect_anomaly():
        namespace["f"](minidl.tensor([0.0]))
