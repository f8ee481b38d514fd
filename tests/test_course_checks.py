"""The checks of a graded cell: what passes, what is said, and that a check which could not fail is refused."""

import re

import numpy as np
import pytest

from minidl import course
from minidl.course import CheckFailed, VacuousCheck


def affine(x, w, b):
    return x @ w.T + b


def backward(dout, x, w, b):
    return dout @ w, dout.T @ x, dout.sum(axis=0)


@pytest.fixture
def inputs():
    return course.probe(1, x="NF", w="KF", b="K", N=2, F=3, K=4)


def message(run) -> str:
    """What a cell with these checks says when it fails."""
    with pytest.raises(CheckFailed) as failed:
        with course.checks("a cell", lesson=4) as t:
            run(t)
    return str(failed.value)


def test_a_right_answer_passes_and_says_how_many_checks_did(inputs, capsys):
    with course.checks("a cell", lesson=4) as t:
        t.value("out", affine, inputs, affine)
        t.gradient("dx", backward, "x", affine, inputs)
        t.hide()
        t.gradient("dw", backward, "w", affine, inputs)
    assert capsys.readouterr().out == "a cell: 2 of 2 visible checks pass, 1 of 1 hidden checks pass\n"


def test_a_wrong_gradient_is_told_with_place_values_pattern_cause_lesson_and_call(inputs):
    def wrong(dout, x, w, b):
        return dout @ w, -dout.T @ x, dout.sum(axis=0)

    def run(t):
        t.gradient("dx", wrong, "x", affine, inputs)
        t.gradient("dw", wrong, "w", affine, inputs)

    lines = message(run).splitlines()
    assert lines[0] == "a cell: 1 of 2 visible checks pass"
    assert lines[1] == "  right: dx" and lines[2] == "  wrong: check 'dw'"
    worst = re.fullmatch(r"    worst at \[\d, \d\]: yours (\S+), by differences (\S+)", lines[4])
    assert float(worst[1]) == pytest.approx(-float(worst[2]))
    assert "sign is flipped" in lines[5] and lines[6].startswith("    likely cause: a minus lost")
    assert lines[-2] == "  read: lesson 04 in notebooks/lessons"
    assert lines[-1] == "  repeat with: t.repeat('dw'), when its cell has run"


def test_marks_are_per_tensor(inputs):
    def only_db(dout, x, w, b):
        return None, None, dout.sum(axis=0)

    with course.checks("a cell", lesson=4) as t:
        t.gradient("db", only_db, "b", affine, inputs)
    for name in "xw":
        assert "no gradient was returned" in message(lambda t, n=name: t.gradient("d", only_db, n, affine, inputs))


def test_a_consistent_but_wrong_pair_earns_nothing(inputs):
    def wrong_forward(x, w, b):
        return 2 * affine(x, w, b)

    def its_backward(dout, x, w, b):
        return tuple(2 * d for d in backward(dout, x, w, b))

    assert "2 times" in message(lambda t: t.value("out", wrong_forward, inputs, affine))
    assert "2 times" in message(lambda t: t.gradient("dx", its_backward, "x", affine, inputs))


def test_a_hidden_check_tells_no_number(inputs):
    def run(t):
        t.value("plain", affine, inputs, affine)
        t.hide()
        t.value("secret", lambda x, w, b: 3 * affine(x, w, b), inputs, affine)

    text = message(run)
    assert "hidden check 'secret'" in text and "every element is # times" in text and "repeat" not in text
    assert not re.search(r"\d\.\d|at \[", text)


def test_of_an_exception_in_a_hidden_check_only_a_known_class_is_told(inputs):
    class Leak(ValueError):
        pass

    def run(t, hidden):
        t.value("plain", affine, inputs, affine)
        if hidden:
            t.hide()

        def f(x, w, b):
            raise Leak(f"x is {x[0, 0]}")

        t.value("secret", f, inputs, affine)

    assert f"Leak: x is {inputs['x'][0, 0]}" in message(lambda t: run(t, hidden=False))
    assert "Leak" not in message(lambda t: run(t, hidden=True))
    assert "it raised ValueError" in message(lambda t: run(t, hidden=True))


def test_the_line_of_an_exception_is_told(inputs):
    def f(x, w, b):
        return x @ w  # shapes do not fit

    assert "return x @ w  # shapes do not fit" in message(lambda t: t.value("out", f, inputs, affine))


def test_mistakes_and_hints_give_the_cause(inputs):
    mistakes = {"the bias is subtracted": lambda x, w, b: x @ w.T - b}
    told = message(lambda t: t.value("out", lambda x, w, b: x @ w.T - b, inputs, affine, mistakes=mistakes))
    assert "likely cause: the bias is subtracted" in told
    hints = {"sign": "think of the minus"}
    told = message(lambda t: t.value("out", lambda x, w, b: -affine(x, w, b), inputs, affine, hints=hints))
    assert "likely cause: think of the minus" in told
    told = message(lambda t: t.gradient("d", lambda d, *a: tuple(-g for g in backward(d, *a)), "x", affine, inputs,
                                        hints=hints))  # fmt: skip
    assert "likely cause: think of the minus" in told


def test_all_checks_run_after_one_has_failed(inputs):
    def run(t):
        t.value("one", lambda *a: 0, inputs, affine)
        t.value("two", affine, inputs, affine)
        t.value("three", lambda *a: 1 / 0, inputs, affine)

    text = message(run)
    assert "1 of 3" in text and "right: two" in text and "wrong too: three" in text


def test_a_blank_is_called_one(inputs):
    def blank(x, w, b):
        raise NotImplementedError

    text = message(lambda t: t.value("out", blank, inputs, affine))
    assert text == "a cell: 0 of 1 visible checks pass: nothing is written here yet"


def test_a_missing_function_is_told(inputs):
    text = message(lambda t: t.value("out", affine_forwards, inputs, affine))  # noqa: F821
    assert "name 'affine_forwards' is not defined: run the cells above first" in text


def test_an_overwritten_input_is_told(inputs):
    def f(x, w, b):
        x *= 2
        return x @ w.T / 2 + b

    assert "'x' is changed by the call" in message(lambda t: t.value("out", f, inputs, affine))


@pytest.mark.parametrize(
    "odd", [None, "text", [1, [2, 3]], {}, object(), np.float32(3), np.ones((4, 2)), 1j, np.array(["a"]), (1, 2, 3)]
)
def test_odd_answers_are_wrong_answers(odd, inputs):
    assert "0 of 1" in message(lambda t: t.value("out", lambda *a: odd, inputs, affine))
    assert "0 of 1" in message(lambda t: t.gradient("dx", lambda *a: odd, "x", affine, inputs))
    assert "0 of 1" in message(lambda t: t.value("both", lambda *a: odd, inputs, lambda *a: (affine(*a), a[0].sum())))
    assert "0 of 1" in message(lambda t: t.that("condition", lambda: odd, "no"))


def test_an_answer_cannot_claim_to_be_equal(inputs):
    class Equal(np.ndarray):
        def __eq__(self, other):
            return np.ones(self.shape, bool)

        def __sub__(self, other):
            return np.zeros(self.shape)

        __rsub__ = __sub__

    def f(x, w, b):
        return np.zeros((2, 4)).view(Equal)

    assert "0 of 1" in message(lambda t: t.value("out", f, inputs, affine))
    assert "0 of 1" in message(lambda t: t.gradient("db", lambda *a: (None, None, f(*a[1:])[0]), "b", affine, inputs))
    assert "0 of 1" in message(lambda t: t.that("true", lambda: Equal((1,)), "no"))


def test_float32_must_stay_float32(inputs):
    single = {name: v.astype(np.float32) for name, v in inputs.items()}
    text = message(lambda t: t.value("out", lambda *a: affine(*a).astype(float), single, affine, rtol=1e-5))
    assert "float64" in text and "float32" in text


def test_repeat_runs_a_check_again(inputs, capsys):
    factor = [2.0]
    with pytest.raises(CheckFailed):
        with course.checks("a cell", lesson=4) as t:
            t.value("out", lambda *a: factor[0] * affine(*a), inputs, affine)
    t.repeat("out")
    assert capsys.readouterr().out.startswith("out: wrong\n")
    factor[0] = 1.0
    t.repeat("out")
    assert capsys.readouterr().out == "out: right\n"
    with pytest.raises(ValueError, match="run the cell of 'in' first: those of the one run last, 'a cell', are 'out'"):
        t.repeat("in")


def test_repeat_runs_what_the_notebook_has_now(inputs, capsys):
    """A repaired answer is a new object, of the old name."""
    answer = "def answer(x, w, b, sign=1):\n    return sign * (x @ w.T {} b)\ndef slopes(dout, x, w, b):\n    return {}"
    notebook = {"np": np, "inputs": inputs, "course": course, "affine": affine}
    exec(answer.format("-", "dout, dout, dout"), notebook)
    cell = """
from functools import partial
with course.checks("a cell", lesson=4) as t:
    t.value("out", answer, inputs, affine)
    t.value("part", partial(answer, sign=1), inputs, affine)
    t.gradient("dw", slopes, "w", affine, inputs)
"""
    with pytest.raises(CheckFailed):
        exec(cell, notebook)
    exec(answer.format("+", "dout @ w, dout.T @ x, dout.sum(axis=0)"), notebook)
    for name in ("out", "part", "dw"):
        notebook["t"].repeat(name)
        assert capsys.readouterr().out == f"{name}: right\n"


def test_lessons_are_named_for_what_they_teach(inputs):
    def endless(x, w, b):
        raise ValueError("oh")

    def in_place(x, w, b):
        x += 1
        return affine(x - 1, w, b)

    for f, teaches in ((endless, False), (in_place, False), (lambda *a: 2 * affine(*a), True)):
        assert ("lesson 04" in message(lambda t, f=f: t.value("out", f, inputs, affine))) == teaches


def test_hidden_checks_are_named_apart(inputs):
    def cell(t):
        t.value("one", affine, inputs, affine)
        t.value("two", lambda *a: -affine(*a), inputs, affine)
        t.hide()
        t.value("three", affine, inputs, affine)
        t.value("four", lambda *a: -affine(*a), inputs, affine)

    lines = message(cell).splitlines()
    assert "  right: one; hidden: three" in lines and "  wrong too: hidden: four" in lines


def test_what_a_notebook_shows_is_the_message_alone(inputs):
    with pytest.raises(CheckFailed) as failed:
        with course.checks("a cell", lesson=4) as t:
            t.value("out", lambda *a: 0, inputs, affine)
    assert failed.value._render_traceback_() == [str(failed.value)] and failed.value.__context__ is None


def test_nothing_goes_to_stderr_which_nbgrader_takes_for_an_error(inputs, capsys):
    import sys
    import warnings

    def noisy(x, w, b):
        warnings.warn("beware", stacklevel=1)
        print("noise", file=sys.stderr)
        np.log(np.zeros(1))
        return affine(x, w, b)

    with course.checks("a cell", lesson=4) as t:
        t.value("out", noisy, inputs, affine)
    assert capsys.readouterr().err == ""


# --- a check that could not fail is refused --------------------------------------------------------------------------


def vacuous(run, match: str) -> None:
    with pytest.raises(VacuousCheck, match=match):
        with course.checks("a cell", lesson=4) as t:
            run(t)


@pytest.mark.parametrize(
    "expected", [np.zeros(3), np.full(3, 2.0), np.empty((0, 3)), 0.0, lambda x: x, lambda x: (x, np.zeros(2))]
)
def test_zeros_constants_and_the_input_itself_are_refused_as_what_is_expected(expected):
    x = np.array([1.0, 2.0, 3.0])
    vacuous(lambda t: t.value("out", lambda x: x, {"x": x}, expected), "a cell, out: zeros, a constant")
    with course.checks("a cell", lesson=4) as t:
        t.value("real", lambda x: x * x, {"x": x}, x * x)
        t.value("edge", lambda x: expected(x) if callable(expected) else expected, {"x": x}, expected, edge=True)


def test_a_gradient_of_zeros_that_would_pass_is_refused():
    x = np.array([-1.0, -2.0])
    vacuous(
        lambda t: t.gradient("dx", lambda d, x: 0 * d, "x", lambda x: np.maximum(x, 0), {"x": x}), "gradient of zeros"
    )


def test_softmax_is_not_checked_with_ones():
    """The upstream gradient of ones sees nothing: a backward of zeros would pass. Ours is random."""

    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    x = course.probe(0, x="NK", N=2, K=3)
    assert "0 of 1" in message(lambda t: t.gradient("dx", lambda d, x: 0 * d, "x", softmax, x))


def test_a_cell_without_a_visible_check_that_counts_is_refused(inputs):
    vacuous(lambda t: None, "no visible check")
    vacuous(lambda t: t.that("edge", lambda: True, "no", edge=True), "no visible check")

    def hidden_only(t):
        t.hide()
        t.value("out", affine, inputs, affine)

    vacuous(hidden_only, "no visible check")


def test_checks_of_one_cell_have_names_of_their_own(inputs):
    with pytest.raises(ValueError, match="two checks are called 'out'"):
        with course.checks("a cell", lesson=4) as t:
            t.value("out", affine, inputs, affine)
            t.value("out", affine, inputs, affine)


def test_raises(inputs):
    def f(x, w, b):
        raise KeyError("k")

    with course.checks("a cell", lesson=4) as t:
        t.value("out", affine, inputs, affine)
        t.raises("an error", f, inputs, "LookupError", "it must be refused")
    told = message(lambda t: t.raises("e", affine, inputs, "ValueError", "why", edge=False))
    assert "no ValueError was raised" in told and "likely cause: why" in told
    assert "KeyError" in message(lambda t: t.raises("e", f, inputs, "ValueError", "why", edge=False))


# --- probes ----------------------------------------------------------------------------------------------------------


def test_a_probe_has_different_dimensions_and_is_reproducible():
    a, b = (course.probe(7, x="NCHW", w="FC", N=2, C=3, H=5, W=4, F=1) for _ in range(2))
    assert a["x"].shape == (2, 3, 5, 4) and a["w"].shape == (1, 3) and a["x"].dtype == np.float64
    assert all(np.array_equal(a[name], b[name]) for name in a)
    with pytest.raises(ValueError, match="N and F are both 3: a check could not tell them apart"):
        course.probe(7, x="NF", N=3, F=3)
    with pytest.raises(ValueError, match="sizes are given for"):
        course.probe(7, x="NF", N=3)


def test_a_spread_probe_is_away_from_kinks():
    x = course.probe(7, spread=True, x="NF", N=6, F=7)["x"]
    assert np.diff(np.sort(x.ravel())).min() == 0.125 and np.abs(x).min() >= 1 / 32
    assert (x < 0).any() and (x > 0).any()
