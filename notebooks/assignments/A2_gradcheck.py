# %% [markdown]
# # A2. Broadcasting, and a gradient check
#
# A wrong gradient does not crash: the network still trains, only worse. So whoever writes gradients by hand needs a
# tool that compares them with differences, and a tool that says "right" to everything is worse than none. In this
# assignment you write such a *gradient check*. It is given ten right operations, which it must accept, and more than
# ten planted errors, which it must reject. On the way there you write the shape rule of broadcasting, its gradient, a
# gradient by differences, and a measure of error that is not fooled by zeros and NaN.
#
# | exercise | you write | cells | marks |
# |---|---|---|---|
# | 1 | `broadcast_shape`: which shapes go together | 2 | 10 |
# | 2 | `unbroadcast`: the gradient of broadcasting | 3 | 16 |
# | 3 | `numeric_gradient`: derivatives by differences | 3 | 22 |
# | 4 | `relative_error`: how far apart are two arrays? | 2 | 12 |
# | 5 | `gradcheck`: is this backward right? | 5 | 40 |
#
# *Before:* lessons 01 (broadcasting), 02 (differences) and 05 (gradient checking). The exercises do not build on each
# other: you can start with any of them, and an error in one costs nothing in another.
#
# *How to work:* replace what stands under `# YOUR CODE HERE`, run the cell, then run the cells below it. Each of them
# is worth marks, all or nothing, and says what is right and what is wrong. The grader runs the same cells with some
# more checks, which are hidden. `minidl course check A2` runs all cells; `minidl course submit A2` packs what you hand
# in.
#
# *Not allowed* in your cells: torch and other frameworks, and minidl itself. NumPy and the standard library are all
# that you need, with one exception: in exercise 1 do without `np.broadcast_shapes`, `np.broadcast` and the like.

# %% given
from collections.abc import Callable

import numpy as np

from minidl import course

# %% [markdown]
# ## 1. Which shapes go together
#
# *Broadcasting* combines two arrays of different shapes as if the smaller one were repeated. The shapes are aligned at
# the **right**, and 1 is put wherever one of them is too short. In each place the two lengths must then be equal, or
# one of them is 1 and is repeated:
#
# $$(8, 1, 3) \text{ with } (5, 3) \;\to\; (8, 5, 3), \qquad n_i = \begin{cases} a_i & b_i = 1 \text{ or } a_i = b_i\\
# b_i & a_i = 1\end{cases}$$
#
# Where a place fits neither case, raise a `ValueError` whose text holds **both whole shapes**, such as `(2, 3)` and
# `(4,)`: the person who reads it has two arrays in front of them and wants to know which.
#
# An axis may be empty: length 0 is a length like any other, so that 0 with 1 gives 0.
#
# *Hint:* it is easier to make the shapes equally long first. *Lesson* 01, section 3. *Afterwards look at*
# `minidl/arrays.py`.

# %% solution id="broadcast_shape"
def broadcast_shape(a: tuple, b: tuple) -> tuple:
    """The shape of the result when arrays of shapes a and b are combined.

    a, b: tuples of lengths, () for a single number. Raises ValueError, with both shapes, if they do not go together.
    """
    ### BEGIN SOLUTION
    ndim = max(len(a), len(b))
    longer_a = (1,) * (ndim - len(a)) + tuple(a)
    longer_b = (1,) * (ndim - len(b)) + tuple(b)
    result = []
    for m, n in zip(longer_a, longer_b, strict=True):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"shapes {a} and {b} do not go together: {m} and {n} differ, and neither is 1")
        result.append(n if m == 1 else m)
    return tuple(result)
    ### END SOLUTION

# %% test id="broadcast_rule" points=6
with course.checks("the shape of a broadcast", lesson=1) as t:
    def lengths(a: tuple, b: tuple) -> np.ndarray:
        return np.array(broadcast_shape(a, b))

    t.value(
        "a column and a row", lengths, {"a": (3, 1), "b": (1, 4)}, np.array([3, 4]),
        mistakes={
            "only axes of a are repeated; b may have axes of length 1 too": lambda a, b: np.array([1, 4]),
            "only axes of b are repeated; a may have axes of length 1 too": lambda a, b: np.array([3, 1]),
        },
        hints={"flipped": "the lengths stand in reversed order"},
    )  # fmt: skip
    t.value(
        "different numbers of axes", lengths, {"a": (8, 1, 3), "b": (5, 1)}, np.array([8, 5, 3]),
        mistakes={"the axes that only one of the two shapes has are dropped": lambda a, b: np.array([5, 3])},
    )  # fmt: skip
    t.value(
        "the shorter shape first", lengths, {"a": (4,), "b": (2, 3, 1)}, np.array([2, 3, 4]),
        hints={"flipped": "the lengths stand in reversed order"},
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("four axes and two", lengths, {"a": (6, 1, 4, 1), "b": (3, 1, 5)}, np.array([6, 3, 4, 5]))
    t.value("a number and an array", lengths, {"a": (), "b": (2, 7)}, np.array([2, 7]), edge=True)
    t.that("two numbers", lambda: tuple(broadcast_shape((), ())) == (), "a single number has the shape ()", edge=True)
    t.value(
        "an empty axis", lengths, {"a": (1, 5), "b": (0, 1)}, np.array([0, 5]),
        mistakes={"the larger length is taken, also beside an empty axis": lambda a, b: np.array([1, 5])},
    )  # fmt: skip
    t.value(
        "an empty axis, the other way round", lengths, {"a": (2, 0, 1), "b": (1, 3)}, np.array([2, 0, 3]),
        mistakes={"the larger length is taken, also beside an empty axis": lambda a, b: np.array([2, 1, 3])},
    )  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="broadcast_refused" points=4
with course.checks("shapes that do not go together", lesson=1) as t:
    t.raises(
        "(2, 3) with (2,)", broadcast_shape, {"a": (2, 3), "b": (2,)}, "ValueError",
        "aligned at the right, 3 and 2 differ and neither is 1", edge=False,
    )  # fmt: skip

    def says_both(a: tuple, b: tuple) -> bool:
        """Does the error hold both shapes?"""
        text = ""
        try:
            broadcast_shape(a, b)
        except Exception as error:
            if "NotImplementedError" in getattr(error, "names", [type(error).__name__]):
                raise
            text = str(error)
        return str(a) in text and str(b) in text

    t.that(
        "the message names both shapes", lambda: says_both((2, 3), (4, 1, 2)),
        "the text of the error does not hold both whole shapes, written as Python writes them",
    )  # fmt: skip
    t.that(
        "(2, 3) with (2, 3) is not refused", lambda: len(broadcast_shape((2, 3), (2, 3))) == 2,
        "equal lengths always go together",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.raises("disagreement in a middle axis", broadcast_shape, {"a": (5, 3, 2), "b": (4, 2)}, "ValueError",
             "every pair of lengths must be looked at, not only the last", edge=False)  # fmt: skip
    t.raises("an empty axis with a longer one", broadcast_shape, {"a": (0, 3), "b": (2, 3)}, "ValueError",
             "0 and 2 differ, and neither is 1", edge=False)  # fmt: skip
    t.that("the message names both shapes, longer ones", lambda: says_both((7, 1, 5), (2, 6)),
           "the text of the error does not hold both whole shapes, written as Python writes them")  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ## 2. The gradient of broadcasting
#
# Let $y$ be $x$, broadcast to a larger shape: every element of $y$ is a copy of one element of $x$. The *upstream
# gradient* $g = \partial L/\partial y$, of $y$'s shape, says how the loss $L$ changes with each element of $y$. By the
# chain rule every copy contributes:
#
# $$\frac{\partial L}{\partial x_k} = \sum_{m\,:\,y_m \text{ is a copy of } x_k} g_m .$$
#
# Write `unbroadcast(g, shape)`, which returns this gradient. Its shape is `shape`, that of $x$. There are two kinds of
# axes to deal with: those that $x$ did not have at all (they are in front), and those that it had with length 1 (they
# must still be there in the end). Both may occur together; `shape` may be `()`, and axes may be empty. The
# dtype of the result is that of g, and g keeps its values.
#
# *Hint:* count axes from the end, where the shapes are aligned. *Lesson* 01, section 4. *Afterwards look at*
# `unbroadcast` in `minidl/arrays.py`.

# %% solution id="unbroadcast"
def unbroadcast(g: np.ndarray, shape: tuple) -> np.ndarray:
    """The gradient of x, which has this shape, if g is the gradient of x broadcast to g.shape.

    g: floating array of a shape to which `shape` can be broadcast. Returns an array of shape `shape`, in g's dtype.
    """
    ### BEGIN SOLUTION
    leading = g.ndim - len(shape)
    g = g.sum(axis=tuple(range(leading)))
    repeated = tuple(axis for axis, n in enumerate(shape) if n == 1)
    return g.sum(axis=repeated, keepdims=True)
    ### END SOLUTION

# %% test id="unbroadcast_leading" points=6
with course.checks("the gradient along axes that x did not have", lesson=1) as t:
    def backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
        return unbroadcast(dout, x.shape)

    averaged = {"over_n": "a mean is taken: what happens to L if all copies change together?"}
    t.gradient(
        "a row of 4 to (3, 4)", backward, "x", lambda x: np.broadcast_to(x, (3, 4)), course.probe(1, x="F", F=4),
        hints=averaged,
    )  # fmt: skip
    t.gradient(
        "(3, 4) to (5, 2, 3, 4)", backward, "x", lambda x: np.broadcast_to(x, (5, 2, 3, 4)),
        course.probe(2, x="HW", H=3, W=4), hints=averaged,
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("a number to (2, 3)", backward, "x", lambda x: np.broadcast_to(x, (2, 3)), {"x": np.array(0.7)})
    t.gradient("(2, 3, 4) to (5, 2, 3, 4)", backward, "x", lambda x: np.broadcast_to(x, (5, 2, 3, 4)),
               course.probe(3, x="CHW", C=2, H=3, W=4))  # fmt: skip
    g = course.probe(4, g="NF", N=5, F=3)["g"].astype(np.float32)
    t.value("float32 stays float32", unbroadcast, {"g": g, "shape": (3,)}, g.sum(axis=0))
    t.value("an empty batch", unbroadcast, {"g": np.ones((0, 3)), "shape": (3,)}, np.zeros(3), edge=True)
    ### END HIDDEN TESTS

# %% test id="unbroadcast_ones" points=6
with course.checks("the gradient along axes of length 1", lesson=1) as t:
    def backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
        return unbroadcast(dout, x.shape)

    hints = {
        "over_n": "a mean is taken: what happens to L if all copies change together?",
        "shape": "the axes of length 1 are lost, or others than those that were repeated are summed",
    }
    t.gradient(
        "a column (3, 1) to (3, 4)", backward, "x", lambda x: np.broadcast_to(x, (3, 4)), {"x": np.ones((3, 1))},
        hints=hints,
    )  # fmt: skip
    t.gradient(
        "(2, 1, 4) to (2, 3, 4)", backward, "x", lambda x: np.broadcast_to(x, (2, 3, 4)), {"x": np.ones((2, 1, 4))},
        hints=hints,
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("(1, 3, 1, 1) to (2, 3, 4, 5)", backward, "x", lambda x: np.broadcast_to(x, (2, 3, 4, 5)),
               {"x": np.ones((1, 3, 1, 1))},
               hints=dict.fromkeys(("shape", "unsummed"), "more than one axis was repeated"))  # fmt: skip
    t.gradient("(1, 1) to (2, 3)", backward, "x", lambda x: np.broadcast_to(x, (2, 3)), {"x": np.ones((1, 1))})
    t.gradient("nothing was repeated", backward, "x", lambda x: np.broadcast_to(x, (3, 1)), {"x": np.ones((3, 1))})
    t.value("an empty axis stays", unbroadcast, {"g": np.ones((2, 0, 3)), "shape": (1, 0, 1)}, np.ones((1, 0, 1)),
            edge=True)  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="unbroadcast_both" points=4
with course.checks("both kinds of axes at once", lesson=1) as t:
    def backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
        return unbroadcast(dout, x.shape)

    together = dict.fromkeys(
        ("shape", "unsummed", "value"),
        "both kinds of axes occur here: are the two cells above right? And the places of the axes of length one change "
        "when those in front are gone",
    )
    t.gradient("(3, 1) to (5, 3, 4)", backward, "x", lambda x: np.broadcast_to(x, (5, 3, 4)), {"x": np.ones((3, 1))},
               hints=together)  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("(1, 3, 1) to (2, 5, 3, 4)", backward, "x", lambda x: np.broadcast_to(x, (2, 5, 3, 4)),
               {"x": np.ones((1, 3, 1))}, hints=together)  # fmt: skip
    t.gradient("(1,) to (2, 3)", backward, "x", lambda x: np.broadcast_to(x, (2, 3)), {"x": np.ones(1)},
               hints=together)  # fmt: skip
    t.value("an empty batch", unbroadcast, {"g": np.ones((0, 4, 3)), "shape": (4, 1)}, np.zeros((4, 1)), edge=True)
    ### END HIDDEN TESTS

# %% [markdown]
# **To look at.** A handwritten digit, taken as an upstream gradient $g$ of shape (8, 8), and your `unbroadcast` of it:
# to (8, 1), a bias for each row; to (8,), a bias for each column; and to (), one bias for all. They are the margins
# of the table. All three have the same total.

# %% show
import matplotlib.pyplot as plt

from minidl import data
from minidl.viz.style import BLUE, GREEN, ORANGE, SIGNED, VERMILLION, bare, dress, key

digits = data.load_digits().x.reshape(-1, 8, 8).astype(np.float64)
fig, grids = plt.subplots(2, 8, figsize=(12, 3.2), width_ratios=[3, 1] * 4, height_ratios=[3, 1], layout="constrained")
for digit, column in zip(digits[[3, 4, 0, 7]], range(0, 8, 2), strict=True):
    (image, right), (below, corner) = grids[:, column : column + 2]
    rows, columns, total = (unbroadcast(digit, shape) for shape in ((8, 1), (8,), ()))
    assert np.isclose(rows.sum(), total) and np.isclose(columns.sum(), total)
    image.imshow(digit, cmap="Greys", aspect="auto")
    bare(image, "g, (8, 8)")
    right.barh(np.arange(8), rows[:, 0], color=BLUE)
    right.set_ylim(7.5, -0.5)
    bare(right, "(8, 1)")
    below.bar(np.arange(8), -columns, color=ORANGE)
    below.set_xlim(-0.5, 7.5)
    bare(below, "(8,)")
    corner.text(0.5, 0.4, f"{total:.4g}", ha="center", color=GREEN, fontsize=12, transform=corner.transAxes)
    bare(corner, "()")
plt.show()

# %% [markdown]
# ## 3. A gradient by differences
#
# Let $f$ take an array $x$ and return an array, and let $u$ be an upstream gradient of the shape of $f(x)$. The number
# $\langle u, f(x)\rangle = \sum_j u_j f_j(x)$ depends on every element of $x$. Its gradient, by *central
# differences*, is
#
# $$\frac{\partial}{\partial x_i}\langle u, f(x)\rangle \;\approx\;
# \frac{\langle u,\; f(x + h_i e_i) - f(x - h_i e_i)\rangle}{2 h_i},$$
#
# where $e_i$ is 1 at element $i$ and 0 elsewhere. Write `numeric_gradient(f, x, upstream)`, element by element. Care is
# needed in five places:
#
# * **The step.** A step is small or large in comparison with $x_i$. Too large, and $f$ bends within it; too small, and
#   $f(x+he) - f(x-he)$ consists of rounding errors. Choose $h_i$ for each element by itself. There will be elements of
#   $10^{-3}$ beside some of $10^6$, and zeros; a relative error of $10^{-6}$ is asked for.
# * **The dtype.** Compute in float64, whatever x comes in (it may hold float32 or integers), and return float64.
# * **One at a time.** While element $i$ is moved, all others are where they were.
# * **The shape.** x has any shape, `()` too, and $f(x)$ has any other. The gradient has the shape of x.
# * **x is not yours.** After the call it must hold exactly what it held before.
#
# *Hint:* `np.ndindex(x.shape)` runs through the indices of all elements, and also works for `()`. *Lesson* 02, sections
# 1, 4 and 7. *Afterwards look at* `minidl/check/numeric.py`.

# %% solution id="numeric_gradient"
def numeric_gradient(f: Callable, x: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """The gradient of sum(upstream * f(x)) with respect to x, by central differences.

    f: function of an array that returns an array. x: array of any shape. upstream: array of the shape of f(x).
    Returns a float64 array of the shape of x.
    """
    ### BEGIN SOLUTION
    x = np.array(x, dtype=np.float64)
    h = float(np.finfo(np.float64).eps) ** (1 / 3)
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = h * max(abs(x[i]), 1e-3)
        ahead, behind = x.copy(), x.copy()
        ahead[i] += step
        behind[i] -= step
        change = f(ahead) - f(behind)
        gradient[i] = np.sum(upstream * change) / (2 * step)
    return gradient
    ### END SOLUTION

# %% test id="numeric_value" points=8
with course.checks("the gradient by differences", lesson=2) as t:
    def numeric(f: Callable, x: np.ndarray, upstream: np.ndarray) -> np.ndarray:
        return numeric_gradient(f, x.copy(), upstream)

    W = course.probe(10, W="FK", F=3, K=4)["W"]
    inputs = {"f": lambda x: x @ W + 5.0, **course.probe(11, spread=True, x="NF", upstream="NK", N=2, F=3, K=4)}
    t.value(
        "a linear function", numeric, inputs, lambda f, x, u: u @ W.T, rtol=1e-5,
        mistakes={
            "the upstream gradient does not enter": lambda f, x, u: np.ones_like(u) @ W.T,
            "only one element of f(x) enters, not the sum over all": lambda f, x, u: np.outer([u[0, 0], 0], W[:, 0]),
        },
        hints={
            "double": "how far apart are the two points at which f is evaluated?",
            "inexact": "rounding: the step is far too small, so that most digits of f cancel",
        },
    )  # fmt: skip
    inputs = {"f": lambda x: x.sum(axis=0) + 1.0, **course.probe(12, spread=True, x="NF", upstream="F", N=2, F=3)}
    t.value("sums of columns", numeric, inputs, lambda f, x, u: np.broadcast_to(u, x.shape), rtol=1e-5)
    ### BEGIN HIDDEN TESTS
    t.hide()
    inputs = {"f": lambda x: (x @ W).sum(), **course.probe(13, spread=True, x="NF", N=2, F=3), "u": np.array(-1.5)}
    t.value("a function with one number as its result", numeric, inputs,
            lambda f, x, u: np.broadcast_to(u * W.sum(axis=1), x.shape), rtol=1e-5)  # fmt: skip
    inputs = {"f": lambda x: 1.0 * x.T[:, ::-1], **course.probe(14, spread=True, x="NF", upstream="FN", N=2, F=5)}
    t.value("a function that moves elements", numeric, inputs, lambda f, x, u: u[:, ::-1].T, rtol=1e-5)
    x = course.probe(15, spread=True, x="CHW", C=2, H=1, W=3)["x"]
    inputs = {"f": lambda x: 2.0 * x.reshape(3, 2), "x": x, "upstream": W[:, :2]}
    t.value("three axes", numeric, inputs, lambda f, x, u: 2.0 * u.reshape(x.shape), rtol=1e-5)
    ### END HIDDEN TESTS

# %% test id="numeric_accuracy" points=8
with course.checks("the step of the difference", lesson=2) as t:
    def numeric(f: Callable, x: np.ndarray, upstream: np.ndarray) -> np.ndarray:
        return numeric_gradient(f, x.copy(), upstream)

    def off(sentence: str) -> dict[str, str]:
        """The likely cause where values are a little off, and where they are a factor off."""
        return {
            "inexact": sentence, "double": "how far apart are the two points at which f is evaluated?",
            "factor": "the upstream gradient does not enter",
        }  # fmt: skip

    x = 1 + 0.1 * course.probe(20, spread=True, x="NF", N=2, F=3)["x"]
    inputs = {"f": lambda x: (x - 1) ** 2 + 1, "x": x, **course.probe(21, upstream="NF", N=2, F=3)}
    t.value(
        "a parabola", numeric, inputs, lambda f, x, u: 2 * u * (x - 1),
        hints=off("only one side of x is looked at (on a parabola the bends of the two sides cancel), or the step is "
                  "far too small, so that most digits cancel"),
    )  # fmt: skip
    inputs = {"f": lambda x: np.sin(8 * x), **course.probe(22, spread=True, x="NF", upstream="NF", N=2, F=3)}
    t.value(
        "a sine", numeric, inputs, lambda f, x, u: 8 * u * np.cos(8 * x),
        hints=off("the step is too large: the third derivative shows"),
    )  # fmt: skip
    inputs = {"f": lambda x: np.sin(10 * x.sum(axis=0)), **course.probe(28, x="NF", upstream="F", N=4, F=3)}
    t.value(
        "sines of the sums of columns", numeric, inputs,
        lambda f, x, u: np.broadcast_to(10 * u * np.cos(10 * x.sum(axis=0)), x.shape),
        hints=off("the elements of a column act together: each must be back in its place before the next is moved"),
    )  # fmt: skip
    x, u = 1e-3 * (1 + np.arange(4.0)), np.array([1.0, -2.0, 3.0, -4.0])
    inputs = {"f": lambda x: x**-4, "x": x, "upstream": u * x**5}
    t.value(
        "a power of x near 0.001", numeric, inputs, lambda f, x, u: -4 * u * x**-5,
        hints=off("the step is too large beside so small an x"),
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    x, u = 1e6 * np.array([1.7, 2.9, 4.3]), np.array([1.0, -2.0, 3.0])
    inputs = {"f": np.log, "x": x, "upstream": u * x}
    t.value(
        "a logarithm near a million", numeric, inputs, lambda f, x, u: u / x,
        hints=off("the step is too small beside so large an x"),
    )  # fmt: skip
    x, u = np.array([1.3e-3, 2.1, 4.7e6, 3.9e-3, 8.3e2]), np.array([1.0, -2.0, 0.5, 1.5, -0.7])
    inputs = {"f": np.log, "x": x, "upstream": u * x}
    t.value(
        "small and large elements together", numeric, inputs, lambda f, x, u: u / x,
        hints={**off("one step does not fit all elements"), "nan": "one step does not fit all elements: it leaves the "
               "places where the logarithm exists", "one_element": "one step does not fit all elements"},
    )  # fmt: skip
    x = np.array([0.0, 0.9, 0.0, -0.4])
    inputs = {"f": lambda x: np.exp(x) + x, "x": x, "upstream": np.array([0.5, 1.0, -1.5, 2.0])}
    t.value(
        "zeros among the elements", numeric, inputs, lambda f, x, u: u * (np.exp(x) + 1),
        hints={"nan": "a zero has no size: where the step is a multiple of the element alone, zero is divided by zero"},
    )  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="numeric_manners" points=6
with course.checks("x of any kind, and left alone", lesson=2) as t:
    inputs = {"f": lambda x: x * x, **course.probe(30, x="NF", upstream="NF", N=3, F=4)}
    t.value(
        "x is the same after the call", numeric_gradient, inputs, lambda f, x, u: 2 * u * x, rtol=1e-3,
        hints={"overwrites": "x is moved in place and not put back exactly (x + h - 2h + h is not x, because each step "
               "is rounded)", "double": "how far apart are the two points at which f is evaluated?"},
    )  # fmt: skip
    inputs = {"f": lambda x: x * x, "x": np.array([1, -2, 3]), "upstream": np.array([1.0, 2.0, -0.5])}
    t.value(
        "x holds integers", numeric_gradient, inputs, lambda f, x, u: 2 * u * x, rtol=1e-3,
        hints=dict.fromkeys(("zero", "value", "one_element", "scattered"),
                            "an array of integers cannot take so small a step: its copy needs another dtype"),
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    inputs = {"f": lambda x: x * x, "x": np.array(1.5), "upstream": np.array(-2.0)}
    t.value("x is a single number", numeric_gradient, inputs, lambda f, x, u: 2 * u * x, rtol=1e-3)
    inputs = {"f": lambda x: x * x, "x": np.array([0.3, -1.7], np.float32), "upstream": np.array([1.0, 2.0])}
    t.value("x is float32", numeric_gradient, inputs, lambda f, x, u: 2 * u * x.astype(np.float64), rtol=1e-3)
    inputs = {"f": lambda x: x * x, "x": np.zeros((0, 3)), "upstream": np.zeros((0, 3))}
    t.value("x is empty", numeric_gradient, inputs, np.zeros((0, 3)), edge=True)
    ### END HIDDEN TESTS

# %% [markdown]
# **To look at.** On the left the error of a central difference of $\log x$ at three places, for every step: three
# valleys, far apart. A step at the bottom of one is useless for the others. The squares are the errors of your
# `numeric_gradient`, which got all three in a single array; they should lie as deep as the valleys. On the right your
# gradient at work: which pixels of a digit would have to become lighter or darker to look more like a 3?

# %% show
import matplotlib.pyplot as plt

from minidl import data
from minidl.viz.style import BLUE, ORANGE, SIGNED, VERMILLION, bare, dress, key

places = np.array([1e-3, 1.0, 1e6])
steps = np.logspace(-18, 5, 1500)
fig = plt.figure(figsize=(12, 3.8), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=[1.5, 1])
ax = left.subplots()
yours = np.abs(numeric_gradient(np.log, places, np.ones(3)) * places - 1)
for place, error, colour in zip(places, yours, (BLUE, ORANGE, VERMILLION), strict=True):
    h = steps[steps < place]
    sweep = np.abs((np.log(place + h) - np.log(place - h)) / (2 * h) * place - 1)
    ax.loglog(h, np.maximum(sweep, 1e-13), ".", markersize=2.5, color=colour, label=f"x = {place:g}")
    ax.plot(6e-6 * place, max(error, 1e-13), "s", color=colour, markeredgecolor="black", markersize=9)
ax.set_ylim(5e-14, 5)
dress(ax, "log x: relative error; squares: yours (drawn at 6e-6 x)", "step h", "", "both")
key(ax)

digits = data.load_digits()
images, labels = digits.x.reshape(-1, 8, 8).astype(np.float64) / 16, digits.y
means = np.stack([images[labels == k].mean(axis=0) for k in range(10)])


def log_chance_of_3(image: np.ndarray) -> np.ndarray:
    """How well the image fits the mean of all threes, beside those of the other digits."""
    scores = -((image - means) ** 2).sum(axis=(1, 2))
    return scores[3] - np.log(np.exp(scores).sum())


image = images[labels == 5][0]
gradient = numeric_gradient(log_chance_of_3, image, np.array(1.0))
for ax, picture, name in zip(right.subplots(1, 2), (image, gradient), ("a five", "more of a three"), strict=True):
    limit = np.abs(gradient).max()
    ax.imshow(picture, **({"cmap": "Greys"} if picture is image else {"cmap": SIGNED, "vmin": -limit, "vmax": limit}))
    bare(ax, name)
right.text(0.97, 0.02, "red: darker, blue: lighter", ha="right", fontsize=9)
plt.show()

# %% [markdown]
# ## 4. How far apart are two arrays?
#
# The gradient of a loss may be $10^{-9}$ or $10^9$ in size, so an absolute error says nothing. Use the largest
# difference, in units of the largest element of either array:
#
# $$\mathrm{err}(a, b) = \frac{\max_i |a_i - b_i|}{\max\left(\max_i |a_i|, \max_i |b_i|\right)} .$$
#
# Not element by element: an element that is nearly zero beside large ones may be off by its own size through rounding
# alone. Three cases must not slip through:
#
# * Two arrays of zeros, or without elements, agree: the error is 0.0. Do not add a small constant to the denominator to
#   get there, for then small gradients are never wrong.
# * If a or b holds a NaN or an infinity anywhere, the error is infinite, `np.inf`. (A NaN as the answer would be
#   dangerous: `nan > 1e-6` is false.)
# * If the shapes differ, the error is infinite, even where NumPy would broadcast.
#
# *Lesson* 05, section 1. *Afterwards look at* `compare_value` in `minidl/check/values.py`.

# %% solution id="relative_error"
def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference between a and b, relative to the largest element of both.

    a, b: floating arrays. Returns a float: 0.0 if both are zero or empty; infinity if their shapes differ or if an
    element is not finite.
    """
    ### BEGIN SOLUTION
    if a.shape != b.shape:
        return np.inf
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.inf
    largest = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    if largest == 0:
        return 0.0
    return float(np.abs(a - b).max() / largest)
    ### END SOLUTION

# %% test id="relative_value" points=6
with course.checks("the relative error", lesson=5) as t:
    formula = {
        "relative to each element by itself": lambda a, b: np.max(np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))),
        "the mean of the differences, not the largest": lambda a, b: np.abs(a - b).mean() / np.abs([a, b]).max(),
        "only b is looked at for the largest element": lambda a, b: np.abs(a - b).max() / np.abs(b).max(),
        "only a is looked at for the largest element": lambda a, b: np.abs(a - b).max() / np.abs(a).max(),
        "this is relative to the sum of the two largest":
            lambda a, b: np.abs(a - b).max() / (np.abs(a).max() + np.abs(b).max()),
        "differences of one sign only are looked at: a - b may be negative":
            lambda a, b: (a - b).max() / np.abs([a, b]).max(),
        "elements below zero may be the largest too": lambda a, b: np.abs(a - b).max() / max(a.max(), b.max()),
        "this is the absolute error": lambda a, b: np.abs(a - b).max(),
    }  # fmt: skip
    a, b = np.array([[1.0, -8.0, 0.1], [2.0, 3.0, -1.0]]), np.array([[1.5, -5.0, -0.1], [2.0, 2.0, -1.0]])
    t.value("the largest element is in a", relative_error, {"a": a, "b": b}, 0.375, mistakes=formula)
    a, b = np.array([0.5, 1.0, -4.5, 2.0]), np.array([0.25, 3.0, -5.0, 4.0])
    t.value("the largest element is in b", relative_error, {"a": a, "b": b}, 0.4, mistakes=formula)
    t.value("they are equal", relative_error, {"a": a, "b": a + 0}, 0.0, edge=True)
    ### BEGIN HIDDEN TESTS
    t.hide()
    a, b = np.array([[[3.0], [-7.0]]]), np.array([[[3.5], [-10.0]]])
    t.value("three axes", relative_error, {"a": a, "b": b}, 0.3, mistakes=formula)
    t.value("single numbers", relative_error, {"a": np.array(2.0), "b": np.array(-3.0)}, 5 / 3)
    a, b = np.array([6.0, -0.001]), np.array([6.0, 0.001])
    t.value("a small element beside a large one", relative_error, {"a": a, "b": b}, 0.002 / 6, mistakes=formula)
    ### END HIDDEN TESTS

# %% test id="relative_hard" points=6
with course.checks("the relative error in hard cases", lesson=5) as t:
    tiny = dict.fromkeys(
        ("value", "ratio", "inexact"),
        "small numbers seem to agree: is a constant added to the denominator, or is there none?",
    )
    a, b = np.full(3, 4.0), np.full(3, -4.0)
    t.value("small numbers", relative_error, {"a": 1e-12 * a, "b": 1e-12 * b}, 2.0, hints=tiny)
    t.value("zeros and zeros", relative_error, {"a": np.zeros(3), "b": np.zeros(3)}, 0.0, edge=True,
            hints={"nan": "0/0: two arrays of zeros agree"})  # fmt: skip
    spoilt = {key: "an element that is not finite got lost, and the result does not show it as the text asks"
              for key in ("finite", "value", "nan")}  # fmt: skip
    t.value("a NaN", relative_error, {"a": a, "b": b * [1, np.nan, 1]}, np.inf, hints=spoilt)
    repeated = {key: "the shapes differ and NumPy has broadcast them" for key in ("finite", "value", "zero")}
    t.value("(1, 3) beside (3,)", relative_error, {"a": a[None], "b": a}, np.inf, hints=repeated)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("very small numbers", relative_error, {"a": 1e-200 * a, "b": 1e-200 * b}, 2.0, hints=tiny)
    t.value("a NaN in both", relative_error, {"a": b * [1, np.nan, 1], "b": b * [1, np.nan, 1]}, np.inf, hints=spoilt)
    t.value("an infinity in a", relative_error, {"a": np.array([1.0, np.inf]), "b": a[:2]}, np.inf, hints=spoilt)
    t.value("the same infinity in both", relative_error, {"a": b * [1, 1, np.inf], "b": b * [1, 1, np.inf]}, np.inf,
            hints=spoilt)  # fmt: skip
    t.value("one number beside many", relative_error, {"a": np.ones(3), "b": np.array(1.0)}, np.inf, hints=repeated)
    t.value("no elements", relative_error, {"a": np.zeros((0, 2)), "b": np.zeros((0, 2))}, 0.0, edge=True)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 5. The gradient check
#
# Now the tool itself. `forward(x)` returns an array $y$; `backward(dout, x)` claims to return the gradient of
# $\langle \mathrm{dout}, y\rangle$ with respect to $x$. Is that true? Exercise 3 would answer it with two calls of
# `forward` for every element. There is a shorter way, which makes exercise 5 independent of exercise 3: move all
# elements at once, along a random *direction* $v$ of the shape of x. For every upstream gradient $u$,
#
# $$\frac{\langle u,\; f(x + hv) - f(x - hv)\rangle}{2h} \;\approx\; \langle \bar x, v\rangle, \qquad
# \bar x = \mathrm{backward}(u, x).$$
#
# On both sides stands one number. An error in any element of $\bar x$ changes the right one, and a random $v$ hides no
# element. Write `gradcheck(forward, backward, x, rng)`, which returns `True` or `False`:
#
# * Draw $u$ and $v$ with `rng`, of both signs and of many sizes: `rng.standard_normal(shape)`. With $u$ all ones many
#   errors cannot be seen; why, lesson 05 tells.
# * Compare the two numbers to a relative $10^{-6}$. Results and gradients may be as small as $10^{-9}$ and as large as
#   $10^9$; the elements of x are of ordinary size, between 0.03 and 20.
# * A gradient of another shape than that of x is wrong, even if NumPy would broadcast it: return `False`, no error.
# * A gradient with a NaN or an infinity in it is wrong.
# * Call `forward` at most five times, however large x is, and `backward` at most twice. Do not change x.
#
# The cells come in pairs: wherever errors are to be rejected, something right must be accepted too, and the reverse.
# So a function that always returns the same earns nothing.
#
# *Hint:* what do `nan <= 1e-6` and `inf <= 1e-6 * inf` give? *Lesson* 05, sections 1 to 3. *Afterwards look at*
# `minidl/check/gradcheck.py` and `Comparison.direction` in `minidl/check/compare.py`.

# %% solution id="gradcheck"
def gradcheck(forward: Callable, backward: Callable, x: np.ndarray, rng: np.random.Generator) -> bool:
    """Is backward(dout, x) the gradient of sum(dout * forward(x)) with respect to x?

    forward: function of an array that returns an array. backward: function of dout, which has the shape of forward(x),
    and x. x: float64 array. rng: for the upstream gradient and the direction.
    """
    ### BEGIN SOLUTION
    h = float(np.finfo(np.float64).eps) ** (1 / 3)
    upstream = rng.standard_normal(np.shape(forward(x)))
    direction = rng.standard_normal(x.shape)
    gradient = backward(upstream, x)
    if np.shape(gradient) != x.shape:
        return False
    if not np.isfinite(gradient).all():
        return False
    change = forward(x + h * direction) - forward(x - h * direction)
    numeric = np.sum(upstream * change) / (2 * h)
    claimed = np.sum(gradient * direction)
    tolerance = 1e-6 * max(abs(numeric), abs(claimed))
    return bool(abs(numeric - claimed) <= tolerance)
    ### END SOLUTION

# %% test id="gradcheck_accepts" points=12
with course.checks("ten right operations are accepted", lesson=5) as t:
    x = course.probe(40, spread=True, x="NF", N=4, F=3)["x"]
    W = course.probe(41, W="FK", F=3, K=5)["W"]

    def verdict(forward: Callable, backward: Callable, x: np.ndarray) -> bool | None:
        """What two of three draws say: now and then u or v is nearly zero just where the error is."""
        votes = [gradcheck(forward, backward, x.copy(), np.random.default_rng(seed)) for seed in (1, 2, 3)]
        return True if votes.count(True) > 1 else False if votes.count(False) > 1 else None

    t.that(
        "zeros for x @ W are rejected", lambda: verdict(lambda x: x @ W, lambda dout, x: 0 * x, x) is False,
        "the values of the gradient have no influence on the verdict, or only if they differ in one direction; or the "
        "verdict is neither True nor False",
    )  # fmt: skip
    t.that(
        "twice the gradient of x @ W is rejected",
        lambda: verdict(lambda x: x @ W, lambda dout, x: 2 * dout @ W.T, x) is False,
        "a gradient that is twice too large passes: how far apart are the two points of the difference, and is an abs "
        "missing where the two sides are compared?",
    )  # fmt: skip
    t.that(
        "x @ W is accepted", lambda: verdict(lambda x: x @ W, lambda dout, x: dout @ W.T, x) is True,
        "for a linear function there is no bend, so the two numbers differ in what they are made of: the same u and "
        "the same v belong on both sides; or rounding errors are not tolerated (step or tolerance too small)",
    )  # fmt: skip
    t.that(
        "x * x is accepted", lambda: verdict(lambda x: x * x, lambda dout, x: 2 * dout * x, x) is True,
        "linear functions pass and a parabola does not: only one side of x is looked at",
    )  # fmt: skip
    t.that(
        "tanh is accepted", lambda: verdict(np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2), x) is True,
        "a parabola passes and tanh does not: the step is too large, so that the third derivative shows",
    )  # fmt: skip
    t.that(
        "a mean over axis 0 is accepted",
        lambda: verdict(lambda x: x.mean(axis=0), lambda dout, x: np.broadcast_to(dout / len(x), x.shape), x) is True,
        "the result has another shape than x: the upstream gradient has that of the result, the direction that of x",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("relu is accepted", lambda: verdict(lambda x: np.maximum(x, 0), lambda dout, x: dout * (x > 0), x) is True,
           "x is far enough from the kink: the step is too large")  # fmt: skip

    def log_sum(x: np.ndarray) -> np.ndarray:
        return np.log(np.exp(x).sum(axis=1, keepdims=True))

    t.that("log-sum-exp is accepted",
           lambda: verdict(log_sum, lambda dout, x: dout * np.exp(x - log_sum(x)), x) is True,
           "the result has axes of length 1, and u has them too")  # fmt: skip
    t.that("a sum of all elements is accepted",
           lambda: verdict(lambda x: np.sum(x * x * x), lambda dout, x: 3 * dout * x * x, x) is True,
           "the result may be a single number, of shape ()")  # fmt: skip
    t.that("x may be a single number", lambda: verdict(np.exp, lambda dout, x: dout * np.exp(x), np.array(0.3)) is True,
           "x may have the shape ()")  # fmt: skip
    t.that("a large result is accepted",
           lambda: verdict(lambda x: 1e9 * np.sin(x), lambda dout, x: 1e9 * dout * np.cos(x), x) is True,
           "the tolerance is absolute: a large gradient has large rounding errors")  # fmt: skip
    t.that("a broadcast is accepted",
           lambda: verdict(lambda x: x / np.ones((2, 4, 3)), lambda dout, x: dout.sum(axis=0), x) is True,
           "the result has more axes than x")  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="gradcheck_values" points=12
with course.checks("wrong values are rejected", lesson=5) as t:
    x, scale = course.probe(42, spread=True, x="NF", scale="NF", N=4, F=3).values()

    def verdict(forward: Callable, backward: Callable, x: np.ndarray) -> bool | None:
        """What two of three draws say: now and then u or v is nearly zero just where the error is."""
        votes = [gradcheck(forward, backward, x.copy(), np.random.default_rng(seed)) for seed in (4, 5, 6)]
        return True if votes.count(True) > 1 else False if votes.count(False) > 1 else None

    t.that(
        "3 * x is accepted", lambda: verdict(lambda x: 3 * x, lambda dout, x: 3 * dout, x) is True,
        "a right backward is rejected: see the cell above",
    )  # fmt: skip
    t.that(
        "a lost factor 2, and one too many",
        lambda: [verdict(lambda x: x * x, lambda dout, x, k=k: k * dout * x, x) for k in (1, 4)] == [False, False],
        "half or twice the right gradient passes: nothing is compared, or only differences of one sign count (an abs "
        "is missing where the two sides are compared)",
    )  # fmt: skip
    t.that(
        "a wrong sign", lambda: verdict(np.cos, lambda dout, x: dout * np.sin(x), x) is False,
        "minus the right gradient passes: an abs too many hides the sign",
    )  # fmt: skip
    t.that(
        "a missing division by N",
        lambda: verdict(lambda x: x.mean(axis=0), lambda dout, x: np.broadcast_to(dout, x.shape) + 0, x) is False,
        "four times the right gradient passes",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    slip = np.ones((4, 3))
    slip[2, 1] = 1.1
    t.that("every element, off by one part in ten thousand",
           lambda: verdict(np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2) * 1.0001, x) is False,
           "a small error in every element passes: the tolerance is too generous")  # fmt: skip
    t.that("a single element, off by a tenth",
           lambda: verdict(np.tanh, lambda dout, x: dout * (1 - np.tanh(x) ** 2) * slip, x) is False,
           "an error in one element passes: each must have a share in what is compared")  # fmt: skip
    t.that("a missing mean term", lambda: verdict(lambda x: x - x.mean(axis=0), lambda dout, x: dout, x) is False,
           "centring without the second term passes")  # fmt: skip
    t.that("relu without its mask", lambda: verdict(lambda x: np.maximum(x, 0), lambda dout, x: dout, x) is False,
           "an error in the elements below zero passes")  # fmt: skip
    t.that("right values in the wrong places",
           lambda: verdict(lambda x: (scale * x)[::-1], lambda dout, x: scale[::-1] * dout, x) is False,
           "a direction of ones adds up the gradient, and the sum does not see in which order the elements stand: "
           "draw the direction at random")  # fmt: skip
    t.that("wrong, but small",
           lambda: verdict(lambda x: 1e-9 * np.sin(x), lambda dout, x: -1e-9 * dout * np.cos(x), x) is False,
           "the tolerance is absolute: small gradients are never wrong")  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="gradcheck_upstream" points=8
with course.checks("a wrong use of the upstream gradient is rejected", lesson=5) as t:
    x = course.probe(43, spread=True, x="NF", N=4, F=3)["x"]

    def verdict(forward: Callable, backward: Callable, x: np.ndarray) -> bool | None:
        """What two of three draws say: now and then u or v is nearly zero just where the error is."""
        votes = [gradcheck(forward, backward, x.copy(), np.random.default_rng(seed)) for seed in (7, 8, 9)]
        return True if votes.count(True) > 1 else False if votes.count(False) > 1 else None

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    def softmax_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
        return softmax(x) * (dout - (dout * softmax(x)).sum(axis=1, keepdims=True))

    t.that(
        "zeros for 3 * x are rejected", lambda: verdict(lambda x: 3 * x, lambda dout, x: 0 * x, x) is False,
        "the values of the gradient have no influence on the verdict, or only if they differ in one direction",
    )  # fmt: skip
    t.that(
        "3 * x is accepted", lambda: verdict(lambda x: 3 * x, lambda dout, x: 3 * dout, x) is True,
        "a right backward is rejected: see the first cell of this exercise",
    )  # fmt: skip
    t.that(
        "a forgotten upstream gradient", lambda: verdict(np.exp, lambda dout, x: np.exp(x), x) is False,
        "a backward that does not look at dout passes: u is one everywhere, or is not used for the difference",
    )  # fmt: skip
    t.that(
        "zeros for softmax", lambda: verdict(softmax, lambda dout, x: 0 * x, x) is False,
        "zeros pass for softmax: its rows add up to 1 whatever x is, so with u = 1 nothing is to be seen; and they "
        "stay the same when all of x moves alike, so with v = 1 neither",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("softmax is accepted",
           lambda: verdict(softmax, softmax_backward, x) is True,
           "if the first cell of this exercise is right: all elements of u, or all of v, are the same, and for softmax "
           "only rounding errors are then compared")  # fmt: skip
    t.that("softmax with the mean of dout in place of the weighted mean",
           lambda: verdict(softmax, lambda dout, x: softmax(x) * (dout - dout.mean(axis=1)[:, None]), x) is False,
           "something that is right for equal elements of u only passes")  # fmt: skip
    t.that("right for ones only",
           lambda: verdict(lambda x: 2 * x, lambda dout, x: np.full(x.shape, 2 * dout.mean()), x) is False,
           "something that is right for equal elements of u only passes")  # fmt: skip
    t.that("the size of dout without its sign",
           lambda: verdict(np.exp, lambda dout, x: abs(dout) * np.exp(x), x) is False,
           "|dout| in place of dout passes: no element of u is negative")  # fmt: skip
    t.that("dout squared", lambda: verdict(np.exp, lambda dout, x: dout**2 * np.exp(x), x) is False,
           "the square of dout passes in its place: u holds nothing but ones and zeros")  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="gradcheck_shape" points=5
with course.checks("wrong shapes, NaN and infinity are rejected", lesson=5) as t:
    x = course.probe(44, spread=True, x="NF", N=4, F=3)["x"]

    def verdict(forward: Callable, backward: Callable, x: np.ndarray) -> bool | None:
        """What two of three draws say: now and then u or v is nearly zero just where the error is."""
        votes = [gradcheck(forward, backward, x.copy(), np.random.default_rng(seed)) for seed in (1, 2, 3)]
        return True if votes.count(True) > 1 else False if votes.count(False) > 1 else None

    one = np.zeros((4, 3))
    one[1, 2] = 1
    t.that(
        "3 * x is accepted", lambda: verdict(lambda x: 3 * x, lambda dout, x: 3 * dout, x) is True,
        "a right backward is rejected: see the first cell of this exercise",
    )  # fmt: skip
    t.that(
        "a row in place of all rows", lambda: verdict(lambda x: x.sum(axis=0), lambda dout, x: dout, x) is False,
        "a gradient of shape (3,) for an x of shape (4, 3) passes, because NumPy has broadcast it",
    )  # fmt: skip
    t.that(
        "a NaN in one element",
        lambda: verdict(lambda x: 3 * x, lambda dout, x: np.where(one > 0, np.nan, 3 * dout), x) is False,
        "a NaN passes: every comparison with it is false, also the one that should have found the error",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("a transposed gradient", lambda: verdict(lambda x: 3 * x, lambda dout, x: 3 * dout.T, x) is False,
           "a gradient of shape (3, 4) for an x of shape (4, 3) passes")  # fmt: skip
    t.that("a single number for all elements", lambda: verdict(np.sum, lambda dout, x: dout, x) is False,
           "a gradient of shape () passes, because NumPy has broadcast it")  # fmt: skip
    t.that("too many axes", lambda: verdict(lambda x: 3 * x, lambda dout, x: 3 * dout[None], x) is False,
           "a gradient of shape (1, 4, 3) passes, because NumPy has broadcast it")  # fmt: skip
    t.that("an infinity in one element",
           lambda: verdict(lambda x: 3 * x, lambda dout, x: np.where(one > 0, np.inf, 3 * dout), x) is False,
           "an element that is not finite passes: then the tolerance is not finite either")  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="gradcheck_manners" points=3
with course.checks("few calls, and x left alone", lesson=5) as t:
    def watched(size: int, twice: int) -> tuple:
        """(verdict, calls of forward, calls of backward, is x as before) for tanh and a gradient times `twice`."""
        calls, x = {"forward": 0, "backward": 0}, course.probe(45, spread=True, x="N", N=size)["x"]

        def forward(x):
            calls["forward"] += 1
            return np.tanh(x)

        def backward(dout, x):
            calls["backward"] += 1
            return twice * dout * (1 - np.tanh(x) ** 2)

        before = x.copy()
        verdict = gradcheck(forward, backward, x, np.random.default_rng(1))
        return verdict, calls["forward"], calls["backward"], np.array_equal(before, x)

    t.that(
        "five calls of forward, two of backward", lambda: watched(20, 1)[1] <= 5 and watched(20, 1)[2] <= 2,
        "forward is called for every element, or something is computed again: keep what it returned",
    )  # fmt: skip
    t.that(
        "x is the same after the call", lambda: watched(20, 1)[3],
        "x is moved in place (x += ...) and not put back exactly: x + h v makes a new array",
    )  # fmt: skip
    t.that(
        "and the verdicts are right", lambda: [watched(20, k)[0] for k in (1, 2)] == [True, False],
        "a right gradient of 20 elements is rejected, or one that is twice too large accepted",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("no more for a larger x", lambda: watched(300, 1)[1] <= 5 and watched(300, 1)[2] <= 2,
           "the number of calls grows with x")  # fmt: skip
    t.that("right verdicts for a larger x", lambda: [watched(300, k)[0] for k in (1, 2)] == [True, False],
           "a right gradient of 300 elements is rejected, or one that is twice too large accepted")  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# **To look at.** How good is your check? On the left a small error is planted, in all elements (the factor $1+\delta$)
# or in one of twenty, and the curve shows in how many of 200 draws it is found. A perfect judge would jump from 0 to 1
# at the tolerance; in a single element an error is diluted by the other nineteen. And now and then a draw misses even a
# large error, because u or v happens to be nearly zero just there: whoever wants to be certain asks twice, as the cells
# above do. On the right is what the check cannot do: relu with its *right* backward, where one element sits at a
# distance $d$ from the kink. As soon as the step $hv$ reaches over the kink, the difference is wrong, and with it the
# verdict.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, ORANGE, VERMILLION, dress, key

rng, draws = np.random.default_rng(0), 200
x = rng.uniform(0.2, 2, 20)
first = np.arange(20) == 0


def share(forward, backward, x):
    """In how many draws the check says that backward is right."""
    return np.mean([gradcheck(forward, backward, x, np.random.default_rng(seed)) for seed in range(draws)])


deltas, distances = np.logspace(-9, 0, 19), np.logspace(-8, -3, 21)
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained", width_ratios=[1.5, 1])
for name, where, colour, marker in (("all elements", 1, BLUE, "o"), ("one of twenty", first, VERMILLION, "s")):
    found = [1 - share(np.sin, lambda dout, x, e=where * d: dout * np.cos(x) * (1 + e), x) for d in deltas]
    left.semilogx(deltas, found, color=colour, marker=marker, markersize=4, label=f"error in {name}")
left.axvline(1e-6, color="black", linewidth=0.8, linestyle=":")
dress(left, "How often a planted error is found (dotted: the tolerance)", "size of the error δ", "share of the draws")
key(left)
taken = []
for d in distances:
    x[0] = d
    taken.append(1 - share(lambda x: np.maximum(x, 0), lambda dout, x: dout * (x > 0), x))
right.semilogx(distances, taken, color=ORANGE, marker="o", markersize=4)
dress(right, "False alarms of a right relu", "distance d of one element from the kink", "share of the draws")
plt.show()

# %% [markdown]
# ## When all is done
#
# Your `gradcheck` works for every forward and backward you will write in the assignments to come, as long as one array
# goes in: fix the other arguments with a `lambda`. Try it on your next backward before you run its cell. minidl's own,
# `minidl.check.gradcheck_pair`, does the same for several inputs, recognises kinks, and says what an error looks like.
# `minidl course submit A2` packs this notebook.
