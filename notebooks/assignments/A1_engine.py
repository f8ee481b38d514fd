# %% [markdown]
# # A1. A tensor engine
#
# You will write the two halves of an engine that differentiates: the *rules*, which say how a gradient passes back
# through one operation, and the *ordered backward*, which applies them to a whole computation. At the end, your engine
# trains a small network.
#
# | exercise | graded cells | marks |
# |---|---|---|
# | 1. Undo broadcasting | `unbroadcast` | 8 |
# | 2. Sum and product | `add`, `mul_da`, `mul_db` | 4 + 4 + 4 |
# | 3. Matrix product | `matmul_da`, `matmul_db` | 7 + 7 |
# | 4. Sum over axes | `sum_axis`, `sum_axes` | 6 + 6 |
# | 5. exp, log, relu | `exp_log`, `relu` | 6 + 5 |
# | 6. Indexing | `index_slices`, `index_arrays` | 5 + 8 |
# | 7. The ordered backward | `engine_chain`, `engine_shared`, `engine_order`, `engine_leaves` | 7 + 7 + 9 + 7 |
#
# **Read before:** lesson 01 (arrays and broadcasting), lesson 03 (a scalar engine), lesson 04 (tensors).
#
# **How to work.** Replace `# YOUR CODE HERE` and the line below it, run the cell and the graded cells that follow, and
# read what they say. The exercises do not depend on each other: begin with any of them. A graded cell gives all of its
# marks or none. Some of its checks are hidden: they ask for nothing but what the text says, with other shapes and
# numbers. `minidl course check A1` runs all visible checks, `minidl course submit A1` packs what you hand in.
#
# **Not allowed:** torch and its like, and minidl's own functions. NumPy and the standard library are all you need.
#
# **Words.** A computation ends in one number $L$. The *gradient* of an array $x$ is
# $\bar x = \partial L/\partial x$; it has the shape and the dtype of $x$. For one operation $y = f(x)$, `dout` is
# $\bar y$, the *upstream gradient*: what comes back from all that was computed with $y$. A *rule* turns it into
# $\bar x$. In this assignment a rule takes `dout` and then what the operation took, and it writes into none of them.

# %% given
import numpy as np

from minidl import course

# %% [markdown]
# ## 1. Undo broadcasting
#
# When shapes differ, NumPy *broadcasts*: an array of shape `(3,)` is used for each of four rows as if it were
# `(4, 3)`, and so is one of shape `(1, 3)`. A number that is used several times gets a gradient from each use, and
# these add up. Let $P(i)$ be all the places to which element $i$ of $x$ was copied, and $g$ the gradient of the copies:
#
# $$\bar x_i = \sum_{p\,\in\,P(i)} g_p .$$
#
# Write `unbroadcast(g, shape)`: `g` has the shape *after* broadcasting, `shape` is the one *before*; return the
# gradient of that shape. Two things can have happened, both at once too: axes were put in front, and axes of length 1
# were stretched. There can be any number of axes, also none: `shape` may be `()`.
#
# *Hint:* treat the axes in front first. After that, the axes of `g` and those of `shape` have the same numbers.
# *Lesson* 01, where it speaks of broadcasting. *Afterwards look at* `unbroadcast` in `minidl/arrays.py`.

# %% solution id="unbroadcast_function"
def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of an array of this shape that was broadcast: g summed over all copies of each element.

    g: the gradient after broadcasting; its shape is one to which `shape` can be broadcast.
    Returns an array of exactly `shape`; float32 stays float32.
    """
    ### BEGIN SOLUTION
    for _ in range(g.ndim - len(shape)):
        g = g.sum(axis=0)
    for axis, length in enumerate(shape):
        if length == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g
    ### END SOLUTION

# %% test id="unbroadcast" points=8
with course.checks("unbroadcast", lesson=1) as t:
    row = course.probe(1, x="F", F=3)
    column = course.probe(2, x="NU", N=4, U=1)
    hints = {
        "shape": "the result must have the shape before broadcasting: an axis is lost, left over, or moved",
        "unsummed": "each element of x was copied along that axis, and every copy brings a part of its gradient",
    }
    t.gradient("(3,) for each of four rows", lambda dout, x: unbroadcast(dout, x.shape), "x",
               lambda x: np.broadcast_to(x, (4, 3)), row, hints=hints)  # fmt: skip
    t.gradient("(4, 1) stretched to (4, 3)", lambda dout, x: unbroadcast(dout, x.shape), "x",
               lambda x: np.broadcast_to(x, (4, 3)), column, hints=hints)  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    cases = {
        "two axes in front": ((3,), (5, 4, 3)),
        "in front and stretched": ((3, 1, 5), (2, 3, 4, 5)),
        "in front and stretched, the same axis": ((1,), (4, 3)),
        "all axes stretched": ((1, 1), (4, 3)),
        "a single number, shape ()": ((), (4, 3)),
        "nothing to undo": ((4, 3), (4, 3)),
        "an axis that is still of length 1": ((1, 3), (2, 1, 3)),
    }
    for name, (before, after) in cases.items():
        t.gradient(name, lambda dout, x: unbroadcast(dout, x.shape), "x",
                   lambda x, after=after: np.broadcast_to(x, after),
                   {"x": np.array(np.random.default_rng(3).standard_normal(before))}, hints=hints)  # fmt: skip
    g = np.random.default_rng(4).standard_normal((4, 3)).astype(np.float32)
    t.value("float32 stays float32", unbroadcast, {"g": g, "shape": (3,)}, g.sum(axis=0), rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 2. Sum and product
#
# The rules of two operations with two arguments, $y = a + b$ and $y = a\,b$, element by element. Without broadcasting
# you know them from lesson 03: with the upstream gradient $g = \bar y$,
#
# $$\bar a_i = g_i\,\frac{\partial y_i}{\partial a_i}, \qquad \bar b_i = g_i\,\frac{\partial y_i}{\partial b_i} .$$
#
# But `a` and `b` may have any two shapes that fit together, and each gradient has the shape of its own argument. For
# this, both functions get one more argument, `undo`, which does what exercise 1 asks for: `undo(g, shape)`. The checks
# hand in minidl's own function, so that a slip in exercise 1 costs nothing here.
#
# *Hint:* `dout` has the shape of the result. First the chain rule in that shape, then undo the broadcasting.
# *Lessons* 03 and 04. *Afterwards look at* `minidl/ops/arithmetic.py`: the rules there are one line each, for the
# engine undoes the broadcasting of all of them in one place.

# %% solution id="add_mul"
def add_backward(dout: np.ndarray, a: np.ndarray, b: np.ndarray, undo) -> tuple[np.ndarray, np.ndarray]:
    """(da, db) for y = a + b.

    dout: the gradient of y, of the shape of a + b. undo: undo(g, shape) undoes a broadcast.
    """
    ### BEGIN SOLUTION
    return undo(dout, a.shape), undo(dout, b.shape)
    ### END SOLUTION


def mul_backward(dout: np.ndarray, a: np.ndarray, b: np.ndarray, undo) -> tuple[np.ndarray, np.ndarray]:
    """(da, db) for y = a * b.

    dout: the gradient of y, of the shape of a * b. undo: undo(g, shape) undoes a broadcast.
    """
    ### BEGIN SOLUTION
    da = undo(dout * b, a.shape)
    db = undo(dout * a, b.shape)
    return da, db
    ### END SOLUTION

# %% test id="add" points=4
from minidl.arrays import unbroadcast as right

with course.checks("the rule of a + b", lesson=4) as t:
    hints = {
        "shape": "each gradient has the shape of its own argument: are they returned in the order a, b?",
        "unsummed": "this argument was broadcast, and its gradient was not brought back to its shape",
    }
    row = {**course.probe(1, a="NF", b="F", N=4, F=3), "undo": right}
    t.gradient("da, b is one row", add_backward, "a", lambda a, b, undo: a + b, row, hints=hints)
    t.gradient("db, b is one row", add_backward, "b", lambda a, b, undo: a + b, row, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    cross = {**course.probe(9, a="NU", b="F", N=5, F=2, U=1), "undo": right}
    number = {"a": np.array(0.7), **course.probe(3, b="NF", N=5, F=2), "undo": right}
    t.gradient("da, a column and a row", add_backward, "a", lambda a, b, undo: a + b, cross, hints=hints)
    t.gradient("db, a column and a row", add_backward, "b", lambda a, b, undo: a + b, cross, hints=hints)
    t.gradient("da, a is one number", add_backward, "a", lambda a, b, undo: a + b, number, hints=hints)
    t.gradient("db, a is one number", add_backward, "b", lambda a, b, undo: a + b, number, hints=hints)
    ### END HIDDEN TESTS

# %% test id="mul_da" points=4
from minidl.arrays import unbroadcast as right

with course.checks("da of a * b", lesson=4) as t:
    hints = {
        "unsummed": "this argument was broadcast, and its gradient was not brought back to its shape",
        "value": "a sum of products is not the product of the sums: when is the broadcasting undone?",
    }
    equal = {**course.probe(1, a="NF", b="NF", N=4, F=3), "undo": right}
    cross = {**course.probe(2, a="NU", b="F", N=4, F=3, U=1), "undo": right}
    t.gradient("equal shapes", mul_backward, "a", lambda a, b, undo: a * b, equal)
    t.gradient("a column and a row", mul_backward, "a", lambda a, b, undo: a * b, cross, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    deep = {**course.probe(3, a="CHW", b="NUHW", N=2, C=5, H=4, W=3, U=1), "undo": right}
    number = {"a": np.array(0.7), **course.probe(4, b="NF", N=5, F=2), "undo": right}
    t.gradient("three axes and four", mul_backward, "a", lambda a, b, undo: a * b, deep, hints=hints)
    t.gradient("a is one number", mul_backward, "a", lambda a, b, undo: a * b, number)
    ### END HIDDEN TESTS

# %% test id="mul_db" points=4
from minidl.arrays import unbroadcast as right

with course.checks("db of a * b", lesson=4) as t:
    hints = {
        "unsummed": "this argument was broadcast, and its gradient was not brought back to its shape",
        "value": "a sum of products is not the product of the sums: when is the broadcasting undone?",
    }
    equal = {**course.probe(5, a="NF", b="NF", N=4, F=3), "undo": right}
    row = {**course.probe(6, a="NF", b="F", N=4, F=3), "undo": right}
    t.gradient("equal shapes", mul_backward, "b", lambda a, b, undo: a * b, equal)
    t.gradient("b is one row", mul_backward, "b", lambda a, b, undo: a * b, row, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    deep = {**course.probe(7, a="CHW", b="NUHW", N=2, C=5, H=4, W=3, U=1), "undo": right}
    number = {**course.probe(8, a="NF", N=5, F=2), "b": np.array(-1.3), "undo": right}
    t.gradient("three axes and four", mul_backward, "b", lambda a, b, undo: a * b, deep, hints=hints)
    t.gradient("b is one number", mul_backward, "b", lambda a, b, undo: a * b, number)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 3. Matrix product
#
# $Y = A B$ with $A$ of shape `(N, T)`, $B$ of shape `(T, F)` and $Y$ of shape `(N, F)`:
#
# $$y_{nf} = \sum_t a_{nt}\, b_{tf} .$$
#
# Each $a_{nt}$ acts on a whole row of $Y$. Write down $\bar a_{nt}$ as a sum of what comes back from there, and read
# the sum as a matrix product; then the same for $\bar b_{tf}$.
#
# Either argument, or both, may be a *stack* of `B` matrices, `(B, N, T)` or `(B, T, F)`; the result is `(B, N, F)`
# then, and a single matrix is used for all of the stack.
#
# *Hint:* the shapes leave only one possibility for each factor. `np.swapaxes(x, -1, -2)` transposes each matrix of a
# stack. What was used for all of a stack has been broadcast. *Lesson* 04, section 8. *Afterwards look at*
# `minidl/ops/linalg.py`.

# %% solution id="matmul"
def matmul_backward(dout: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(da, db) for y = a @ b.

    dout: (N, F) or (B, N, F), a: (N, T) or (B, N, T), b: (T, F) or (B, T, F).
    """
    ### BEGIN SOLUTION
    da = dout @ np.swapaxes(b, -1, -2)
    db = np.swapaxes(a, -1, -2) @ dout
    if da.ndim > a.ndim:
        da = da.sum(axis=0)
    if db.ndim > b.ndim:
        db = db.sum(axis=0)
    return da, db
    ### END SOLUTION

# %% test id="matmul_da" points=7
with course.checks("da of a @ b", lesson=4) as t:
    hints = {
        "raised": "if shapes do not fit: write the shape of each factor beside it, and that of the result",
        "shape": "each gradient has the shape of its own argument: are they returned in the order a, b?",
    }
    of_stacks = {"raised": "if shapes do not fit: .T of a stack reverses all axes, also the one that counts matrices"}
    matrices = course.probe(1, a="NT", b="TF", N=4, T=3, F=5)
    stacks = course.probe(2, a="BNT", b="BTF", B=2, N=4, T=3, F=5)
    t.gradient("matrices", matmul_backward, "a", lambda a, b: a @ b, matrices, hints=hints)
    t.gradient("two stacks", matmul_backward, "a", lambda a, b: a @ b, stacks, hints=of_stacks)
    ### BEGIN HIDDEN TESTS
    t.hide()
    one_for_all = course.probe(3, a="NT", b="BTF", B=6, N=2, T=4, F=3)
    t.gradient("one matrix a for a stack", matmul_backward, "a", lambda a, b: a @ b, one_for_all, hints=of_stacks)
    t.gradient("a stack and one matrix b", matmul_backward, "a", lambda a, b: a @ b,
               course.probe(4, a="BNT", b="TF", B=2, N=5, T=3, F=4))  # fmt: skip
    t.gradient("a single row", matmul_backward, "a", lambda a, b: a @ b, course.probe(5, a="NT", b="TF", N=1, T=3, F=5))
    ### END HIDDEN TESTS

# %% test id="matmul_db" points=7
with course.checks("db of a @ b", lesson=4) as t:
    hints = {
        "raised": "if shapes do not fit: write the shape of each factor beside it, and that of the result",
        "shape": "each gradient has the shape of its own argument: are they returned in the order a, b?",
    }
    of_stacks = {"raised": "if shapes do not fit: .T of a stack reverses all axes, also the one that counts matrices"}
    matrices = course.probe(6, a="NT", b="TF", N=4, T=3, F=5)
    stack = course.probe(7, a="BNT", b="TF", B=6, N=4, T=3, F=5)
    t.gradient("matrices", matmul_backward, "b", lambda a, b: a @ b, matrices, hints=hints)
    t.gradient("a stack and one matrix b", matmul_backward, "b", lambda a, b: a @ b, stack, hints=of_stacks)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("two stacks", matmul_backward, "b", lambda a, b: a @ b,
               course.probe(8, a="BNT", b="BTF", B=2, N=4, T=3, F=5), hints=of_stacks)  # fmt: skip
    t.gradient("one matrix a for a stack", matmul_backward, "b", lambda a, b: a @ b,
               course.probe(9, a="NT", b="BTF", B=6, N=2, T=4, F=3), hints=of_stacks)  # fmt: skip
    t.gradient("a single column", matmul_backward, "b", lambda a, b: a @ b,
               course.probe(10, a="NT", b="TF", N=4, T=3, F=1))  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ## 4. Sum over axes
#
# `x.sum(axis, keepdims)` is the opposite of broadcasting: all elements along the axis go into one number, with slope 1
# each. For `x` of shape `(N, F)` and `axis=1`,
#
# $$y_n = \sum_f x_{nf}, \qquad \bar x_{nf} = \;? $$
#
# `axis` is as in NumPy: an integer, also a negative one (-1 is the last axis); a tuple of them in any order; or `None`
# for all axes. With `keepdims=False` the axes that were summed over are gone in `y` and in `dout`, with `keepdims=True`
# they are still there, of length 1.
#
# *Hint:* bring `dout` to the shape it would have with `keepdims=True`; what is left is one function of NumPy.
# *Lesson* 04. *Afterwards look at* `sum` in `minidl/ops/reduce.py`.

# %% solution id="sum"
def sum_backward(
    dout: np.ndarray, x: np.ndarray, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> np.ndarray:
    """dx for y = x.sum(axis, keepdims=keepdims).

    dout: the gradient of y, of the shape of y. Returns an array of the shape and dtype of x.
    """
    ### BEGIN SOLUTION
    if not keepdims:
        axes = tuple(range(x.ndim)) if axis is None else axis
        dout = np.expand_dims(dout, axes)
    return np.broadcast_to(dout, x.shape).copy()
    ### END SOLUTION

# %% test id="sum_axis" points=6
with course.checks("the rule of a sum over one axis", lesson=4) as t:
    x = course.probe(1, x="NF", N=4, F=3)
    hints = {
        "statistics": "the slope of a sum does not depend on the values of its terms",
        "factor": "the slope of a sum does not depend on the values of its terms",
        "shape": "every term of a sum gets what comes back to the sum, so there are as many gradients as terms",
        "raised": "if shapes do not fit: with keepdims=False the axis is gone in dout",
    }
    kept = {**hints, "raised": "if shapes do not fit: with keepdims=True the axis is still there in dout"}
    t.gradient("axis=0", sum_backward, "x", lambda x, axis: x.sum(axis), {**x, "axis": 0}, hints=hints)
    t.gradient("axis=1", sum_backward, "x", lambda x, axis: x.sum(axis), {**x, "axis": 1}, hints=hints)
    t.gradient("axis=1, keepdims=True", sum_backward, "x", lambda x, axis, keep: x.sum(axis, keepdims=keep),
               {**x, "axis": 1, "keepdims": True}, hints=kept)  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    deep = course.probe(2, x="NTF", N=4, T=2, F=3)
    from_the_end = {**hints, "raised": "if shapes do not fit: a negative axis counts from the end, -1 is the last"}
    t.gradient("the middle one of three", sum_backward, "x", lambda x, axis: x.sum(axis), {**deep, "axis": 1})
    t.gradient("a negative axis", sum_backward, "x", lambda x, axis: x.sum(axis), {**deep, "axis": -2},
               hints=from_the_end)  # fmt: skip
    t.gradient("a negative axis, keepdims=True", sum_backward, "x", lambda x, axis, keep: x.sum(axis, keepdims=keep),
               {**deep, "axis": -1, "keepdims": True}, hints=kept)  # fmt: skip
    t.gradient("a vector", sum_backward, "x", lambda x, axis: x.sum(axis), {**course.probe(3, x="N", N=5), "axis": 0})
    g = np.array([0.5, -2.0, 3.0], np.float32)
    t.value("float32 stays float32", sum_backward, {"dout": g, "x": np.ones((2, 3), np.float32), "axis": 0},
            np.stack([g, g]), rtol=1e-5)  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="sum_axes" points=6
with course.checks("the rule of a sum over several axes", lesson=4) as t:
    x = course.probe(4, x="NF", N=4, F=3)
    deep = course.probe(5, x="NTF", N=4, T=2, F=3)
    hints = {
        "statistics": "the slope of a sum does not depend on the values of its terms",
        "factor": "the slope of a sum does not depend on the values of its terms",
        "shape": "every term of a sum gets what comes back to the sum, so there are as many gradients as terms",
        "raised": "if axis is the reason: it may be a tuple, and all of its axes are gone in dout",
    }
    every = {**hints, "raised": "if axis is the reason: None stands for all axes, and not every function takes it"}
    t.gradient("axis=(0, 2) of three", sum_backward, "x", lambda x, axis: x.sum(axis), {**deep, "axis": (0, 2)},
               hints=hints)  # fmt: skip
    t.gradient("all axes, axis=None", sum_backward, "x", lambda x, axis: x.sum(axis), {**x, "axis": None}, hints=every)
    ### BEGIN HIDDEN TESTS
    t.hide()
    kept = {**hints, "raised": "if shapes do not fit: with keepdims=True the axes are still there in dout"}
    from_the_end = {**hints, "raised": "if axis is the reason: negative axes count from the end, in a tuple too"}
    t.gradient("a tuple with a negative axis", sum_backward, "x", lambda x, axis: x.sum(axis),
               {**deep, "axis": (-2, 0)}, hints=from_the_end)  # fmt: skip
    for axis in (None, (1, 2), (2, 0)):
        t.gradient(f"axis={axis}, keepdims=True", sum_backward, "x",
                   lambda x, axis, keep: x.sum(axis, keepdims=keep),
                   {**deep, "axis": axis, "keepdims": True}, hints=kept)  # fmt: skip
    t.gradient("all axes as a tuple", sum_backward, "x", lambda x, axis: x.sum(axis), {**deep, "axis": (2, 0, 1)})
    ### END HIDDEN TESTS

# %% [markdown]
# ## 5. exp, log, relu
#
# Three functions of one argument, applied to each element; relu is $\max(x, 0)$. With $f'$ the derivative:
#
# $$\bar x_i = \bar y_i\, f'(x_i) .$$
#
# relu has a kink at 0, where any slope from 0 to 1 would do as well; the convention, here and nearly everywhere, is
# $\text{relu}'(0) = 0$.
#
# *Hint:* the cell after the checks draws each function and your slope. *Lesson* 03. *Afterwards look at*
# `minidl/ops/activation.py` for relu: which values does its rule ask for?

# %% solution id="unary"
def exp_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx for y = exp(x), any shape; float32 stays float32."""
    ### BEGIN SOLUTION
    return dout * np.exp(x)
    ### END SOLUTION


def log_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx for y = log(x), the natural logarithm, x > 0, any shape; float32 stays float32."""
    ### BEGIN SOLUTION
    return dout / x
    ### END SOLUTION


def relu_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx for y = max(x, 0), with slope 0 at x = 0, any shape; float32 stays float32."""
    ### BEGIN SOLUTION
    return np.where(x > 0, dout, 0)
    ### END SOLUTION

# %% test id="exp_log" points=6
with course.checks("the rules of exp and log", lesson=3) as t:
    real = course.probe(1, x="NF", N=4, F=3)
    positive = {"x": np.exp(real["x"])}
    hints = {"value": "it is another function: the picture below shows where your slope leaves the differences"}
    of_log = {**hints, "ratio": "a logarithm of another base has such a factor; the natural one has none"}
    t.gradient("exp", exp_backward, "x", np.exp, real, hints=hints)
    t.gradient("log", log_backward, "x", np.log, positive, hints=of_log)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("exp of large and small numbers", exp_backward, "x", np.exp, {"x": np.array([30.0, -30.0, 0.0, 2.5])})
    t.gradient("log of large and small numbers", log_backward, "x", np.log, {"x": np.array([1e6, 1e-6, 1.0, 2.5])})
    t.gradient("exp, three axes", exp_backward, "x", np.exp, course.probe(2, x="NTF", N=4, T=2, F=3))
    t.gradient("log of one number, shape ()", log_backward, "x", np.log, {"x": np.array(0.3)})
    ### END HIDDEN TESTS

# %% test id="relu" points=5
with course.checks("the rule of relu", lesson=3) as t:
    hints = {
        "scattered": "which elements pass is decided by x alone, not by what comes back",
        "not_linear": "which elements pass is decided by x alone: the mask asks another array than x",
        "value": "the mask is inverted, or it asks another array than x",
    }
    inputs = course.probe(1, spread=True, x="NF", N=4, F=3)
    t.gradient("positive and negative numbers", relu_backward, "x", lambda x: np.maximum(x, 0), inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("at zero", relu_backward, {"dout": np.array([3.0, -1.0, 2.0, 5.0, 4.0]),
            "x": np.array([0.0, 1.5, -0.0, -2.0, 7.0])}, np.array([0.0, -1.0, 0.0, 0.0, 4.0]),
            hints=dict.fromkeys(["scattered", "value"], "the convention for the slope at the kink"))  # fmt: skip
    t.gradient("three axes", relu_backward, "x", lambda x: np.maximum(x, 0),
               course.probe(2, spread=True, x="NTF", N=4, T=2, F=3), hints=hints)  # fmt: skip
    t.value("float32 stays float32", relu_backward, {"dout": np.array([0.5, -2.0, 3.0], np.float32),
            "x": np.array([1.0, 2.0, -1.0], np.float32)}, np.array([0.5, -2.0, 0.0], np.float32))  # fmt: skip
    ### END HIDDEN TESTS

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, ORANGE, VERMILLION, dress, key

panels = {  # name: the function, your rule, a range
    "exp": (np.exp, exp_backward, np.linspace(-2.5, 1.5, 801)),
    "log": (np.log, log_backward, np.linspace(0.15, 4, 801)),
    "relu": (lambda x: np.maximum(x, 0), relu_backward, np.linspace(-2, 2, 801)),
}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for ax, (name, (f, rule, x)) in zip(axes, panels.items(), strict=True):
    ax.plot(x, f(x), color=BLUE, linewidth=6, alpha=0.35, label=name)
    ax.plot(x, rule(np.ones_like(x), x), color=VERMILLION, label="your slope")
    few = x[20:-20:80]
    ax.plot(few, (f(few + 1e-6) - f(few - 1e-6)) / 2e-6, "o", color=ORANGE, markersize=5, label="differences")
    dress(ax, "", "x", "")
    key(ax)
plt.show()

# %% [markdown]
# ## 6. Indexing
#
# `y = x[index]` reads elements of `x`. What was read gets a gradient, what was not gets zero. And if an element is read
# several times, it acts on $L$ through each of its copies. With $i(p)$ the element that was read for place $p$ of the
# result,
#
# $$y_p = x_{i(p)}, \qquad \bar x_i = \sum_{p\,:\;i(p) = i} \bar y_p .$$
#
# `index` is anything that NumPy takes between the brackets: an integer, a slice, an array of integers, an array of
# booleans, or a tuple of these. Slices never read an element twice; integer arrays do, whenever an integer occurs
# twice. This is how words are looked up in a table of vectors, and a frequent word is read often.
#
# *Hint:* in `d[index] += g` NumPy computes the right side once and then writes; think about what happens to a place
# that is written twice. NumPy's *ufuncs* have a method for this case. *Lesson* 04, section 2. *Afterwards look at*
# `minidl/ops/index.py`.

# %% solution id="index"
def index_backward(dout: np.ndarray, x: np.ndarray, index) -> np.ndarray:
    """dx for y = x[index].

    dout: the gradient of y, of the shape of y. Returns an array of the shape and dtype of x.
    """
    ### BEGIN SOLUTION
    dx = np.zeros_like(x)
    np.add.at(dx, index, dout)
    return dx
    ### END SOLUTION

# %% given
def at(*parts: str | int) -> tuple:
    """An index, written as text for the checks: at("1:4", "::2") is that of x[1:4, ::2], at(2) that of x[2]."""
    ends = [part.split(":") if isinstance(part, str) else part for part in parts]
    return tuple(slice(*(int(n) if n else None for n in e)) if isinstance(e, list) else e for e in ends)

# %% test id="index_slices" points=5
with course.checks("the rule of indexing with integers and slices", lesson=4) as t:
    x = course.probe(1, x="NF", N=6, F=5)
    hints = {
        "shape": "dx has the shape of x, whatever was read: what was not read has a gradient too",
        "not_linear": "what does dx begin as? it may hold nothing but what comes back",
    }
    t.gradient("one row, x[2]", lambda dout, x: index_backward(dout, x, 2), "x", lambda x: x[2], x, hints=hints)
    t.gradient("x[1:4, ::2]", lambda dout, x: index_backward(dout, x, at("1:4", "::2")), "x",
               lambda x: x[1:4, ::2], x, hints=hints)  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("backwards, x[::-1]", lambda dout, x: index_backward(dout, x, at("::-1")), "x",
               lambda x: x[::-1], x, hints=hints)  # fmt: skip
    t.gradient("a column, x[:, -1]", lambda dout, x: index_backward(dout, x, at(":", -1)), "x",
               lambda x: x[:, -1], x, hints=hints)  # fmt: skip
    t.gradient("one element, x[3, 1]", lambda dout, x: index_backward(dout, x, (3, 1)), "x",
               lambda x: x[3, 1], x, hints=hints)  # fmt: skip
    t.value("float32 stays float32", lambda dout, x: index_backward(dout, x, at("0:4:3")),
            {"dout": np.array([0.5, -2.0], np.float32), "x": np.ones(4, np.float32)},
            np.array([0.5, 0.0, 0.0, -2.0], np.float32))  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="index_arrays" points=8
with course.checks("the rule of indexing with arrays", lesson=4) as t:
    x = course.probe(2, x="NF", N=6, F=5)
    lost = "an element that is read several times is written several times, and the last write has won, also with +="
    hints = {
        **dict.fromkeys(["scattered", "repeated", "one_element", "value"], lost),
        "shape": "dx has the shape of x, whatever was read: what was not read has a gradient too",
        "not_linear": "what does dx begin as? it may hold nothing but what comes back",
    }
    t.gradient("rows 4 0 4 2 4", index_backward, "x", lambda x, index: x[index],
               {**x, "index": np.array([4, 0, 4, 2, 4])}, hints=hints)  # fmt: skip
    t.gradient("elements (3, 1) (0, 0) (3, 1)", index_backward, "x", lambda x, index: x[index],
               {**x, "index": (np.array([3, 0, 3]), np.array([1, 0, 1]))}, hints=hints)  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("a table of words, a 2-D index", index_backward, "x", lambda x, index: x[index],
               {**x, "index": np.array([[5, 1, 1, 3], [1, 0, 5, 5]])}, hints=hints)  # fmt: skip
    t.gradient("-1 and the last are the same row", index_backward, "x", lambda x, index: x[index],
               {**x, "index": np.array([-1, 2, 5])}, hints=hints)  # fmt: skip
    t.gradient("a slice and an array", lambda dout, x, index: index_backward(dout, x, (*at("1:5"), index)), "x",
               lambda x, index: x[1:5, index], {**x, "index": np.array([0, 3, 3])}, hints=hints)  # fmt: skip
    t.gradient("a mask", index_backward, "x", lambda x, index: x[index],
               {**x, "index": np.random.default_rng(3).random((6, 5)) < 0.5}, hints=hints)  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# A picture is an array, and to bend a picture is indexing: the middle panel reads, for each of its places, one pixel of
# the left one. The right panel is your rule for an upstream gradient of ones, and so the number of times that each
# pixel was read. Pixels that were never read are white.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import AMOUNT, bare

v, u = np.mgrid[-1:1:121j, -1:1:121j]
picture = np.where((np.floor(4 * u) + np.floor(4 * v)) % 2 == 0, 0.75, 0.25) + 0.2 * np.exp(-6 * (u**2 + v**2))
radius, angle = np.hypot(u, v), np.arctan2(v, u) + 2.2 * np.exp(-3 * (u**2 + v**2))
bent = np.minimum(radius, 1) ** 1.8
rows = np.rint(60 + 60 * bent * np.sin(angle)).astype(int)
columns = np.rint(60 + 60 * bent * np.cos(angle)).astype(int)
count = index_backward(np.ones((121, 121)), picture, (rows, columns))

fig, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained")
axes[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
bare(axes[0], "x")
axes[1].imshow(picture[rows, columns], cmap="gray", vmin=0, vmax=1)
bare(axes[1], "y = x[rows, columns]")
shown = axes[2].imshow(np.log2(1 + count), cmap=AMOUNT)
bare(axes[2], "the gradient of x for ones: how often it was read")
bar = fig.colorbar(shown, ax=axes[2], ticks=np.arange(6), shrink=0.8)
bar.ax.set_yticklabels(["0", "1", "3", "7", "15", "31"])
plt.show()
print(f"{count.sum():.0f} readings of {np.count_nonzero(count)} pixels; at most {count.max():.0f} of one pixel")

# %% [markdown]
# ## 7. The ordered backward
#
# Rules are the chain rule for one operation. The engine is the chain rule for a whole computation: a *graph* of
# *nodes*, each with a value, its *parents* (the nodes it was computed from) and one rule for each parent. A node
# without parents is a *leaf*. The gradient of a node is the sum of what comes back from all nodes that were computed
# with it, its *children*:
#
# $$\bar v = \sum_{c\,\in\,\text{children of } v} \text{rule}_{c \to v}(\bar c), \qquad \overline{\text{root}} =
# \text{upstream} .$$
#
# So a node can hand on its gradient only when *all* of its children have handed on theirs. Read the class `Node` in the
# next cell. Its rules take only the upstream gradient, `node.rules[k](g)`, and give the gradient for `node.parents[k]`.
# To try things, build a graph by hand. This is $z = x - \sin x$:
#
#     x = Node(np.array([1.0, 2.0]))
#     s = Node(np.sin(x.value), (x,), (lambda g: g * np.cos(x.value),))
#     z = Node(x.value - s.value, (x, s), (pass_on, lambda g: -g))
#     backward(z, np.ones(2))
#     print(x.grad, 1 - np.cos(x.value))
#
# The checks build their graphs in the same way, mostly with minidl's rules.

# %% given
import itertools

births = itertools.count()


class Node:
    """A value in a graph, with the nodes it was computed from and one rule for each of them.

    value: an array. parents: a tuple of Nodes, empty for a leaf. rules: a tuple of functions, as many as parents;
    rules[k](g) is what comes back to parents[k] if the gradient of this node is g. grad: None, or the gradient.
    birth: a number; parents have a smaller one than their children.
    """

    def __init__(self, value, parents=(), rules=()):
        self.value, self.parents, self.rules = value, tuple(parents), tuple(rules)
        self.grad, self.birth = None, next(births)


def pass_on(g):
    """The rule of a sum, for each of its terms: the very array that it is given."""
    return g


def zero_grad(node):
    """Set the grad of a leaf to zero, in place, as a program does before the next step of training."""
    node.grad[...] = 0

# %% [markdown]
# Write `backward(root, upstream)`:
#
# * Each rule of each node that the root was computed from is called **once**, with the complete gradient of its node.
#   That includes a node that is used by several children, some near the root and some far, and one that is twice a
#   parent of the same child.
# * Each leaf that is reached **adds** its gradient to its `grad`; `None` counts as zero. So a second call adds to what
#   the first has left. A leaf that is not reached keeps `None`, and so do the nodes that are no leaves: keep what you
#   have summed up for those in a dictionary of your own. The root may be a leaf itself.
# * Nothing else is changed: not the values, not `upstream`. A `grad` is an array of its own, for whoever changes it
#   later (as `zero_grad` does) must not change anything else. Mind that a rule may return the very array that it was
#   given (as `pass_on` does).
# * A chain of 2000 nodes must work. Python allows a function to call itself about a thousand times, so use a loop.
#
# *Hint:* of all nodes to which something has come back, which one can have no child that is still to come? Ten lines
# are enough. *Lesson* 04, section 1. *Afterwards look at* `_sweep` in `minidl/engine.py`.

# %% solution id="backward"
def backward(root: Node, upstream: np.ndarray) -> None:
    """Add to the grad of every leaf the gradient of sum(upstream * root.value) with respect to it.

    upstream: the gradient of the root, of the shape of its value.
    """
    ### BEGIN SOLUTION
    pending = {root: upstream}  # what has come back so far to nodes that have not handed it on
    while pending:
        node = max(pending, key=lambda n: n.birth)
        g = pending.pop(node)
        if not node.parents:
            node.grad = g.copy() if node.grad is None else node.grad + g
        for parent, rule in zip(node.parents, node.rules, strict=True):
            part = rule(g)
            pending[parent] = pending[parent] + part if parent in pending else part
    ### END SOLUTION

# %% test id="engine_chain" points=7
import functools

import minidl
from minidl import sin, tanh

with course.checks("backward through a chain", lesson=4) as t:

    def apply(f, *parents):  # the Node of f(*parents), with minidl's rules
        tensors = [minidl.Tensor(p.value, requires_grad=True) for p in parents]
        out = f(*tensors)

        def rule(x, g):
            return minidl.grad(out, x, minidl.Tensor(g), retain_graph=True)[0].numpy().copy()

        return Node(out.numpy().copy(), parents, [functools.partial(rule, x) for x in tensors])

    def gradients(f, dout, *arrays):  # what backward leaves in the leaves of f(*leaves)
        leaves = [Node(array) for array in arrays]
        backward(f(*leaves), dout)
        return tuple(leaf.grad for leaf in leaves)

    def product(x, y):
        return x * y

    def joined(x, y):
        return apply(sin, apply(product, x, y))

    hints = {"missing": "the grad of the leaf is still None: it was not reached, or nothing was stored"}
    one = course.probe(1, x="NF", N=4, F=3)
    two = course.probe(2, x="NF", y="NF", N=4, F=3)
    t.gradient("tanh(sin(x))", lambda dout, x: gradients(lambda x: apply(tanh, apply(sin, x)), dout, x), "x",
               lambda x: np.tanh(np.sin(x)), one, hints=hints)  # fmt: skip
    t.gradient("x of sin(x y)", lambda dout, x, y: gradients(joined, dout, x, y), "x",
               lambda x, y: np.sin(x * y), two, hints=hints)  # fmt: skip
    t.gradient("y of sin(x y)", lambda dout, x, y: gradients(joined, dout, x, y), "y",
               lambda x, y: np.sin(x * y), two,
               hints={"missing": "the grad of leaf y is None: each of the parents of a node gets its part"},
               )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def turned(x, y):
        return apply(product, y, apply(minidl.transpose, apply(sin, apply(minidl.transpose, x))))

    t.gradient("x of y sin(x.T).T", lambda dout, x, y: gradients(turned, dout, x, y), "x",
               lambda x, y: y * np.sin(x), two, hints=hints)  # fmt: skip

    def deep(x):
        node = apply(tanh, x)
        for _ in range(2000):
            node = Node(np.zeros(2), (node,), (pass_on,))
        return node

    x, dout = np.array([0.3, -1.2]), np.array([-2.0, 0.7])
    t.value("a chain of 2000 nodes", lambda dout, x: gradients(deep, dout, x)[0], {"dout": dout, "x": x},
            dout * (1 - np.tanh(x) ** 2),
            hints={"raised": "if it is a RecursionError: a function that calls itself cannot go that deep"},
            )  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="engine_shared" points=7
import functools

import minidl
from minidl import sin, tanh

with course.checks("a node that is used several times", lesson=4) as t:

    def apply(f, *parents):  # the Node of f(*parents), with minidl's rules
        tensors = [minidl.Tensor(p.value, requires_grad=True) for p in parents]
        out = f(*tensors)

        def rule(x, g):
            return minidl.grad(out, x, minidl.Tensor(g), retain_graph=True)[0].numpy().copy()

        return Node(out.numpy().copy(), parents, [functools.partial(rule, x) for x in tensors])

    def gradients(f, dout, *arrays):  # what backward leaves in the leaves of f(*leaves)
        leaves = [Node(array) for array in arrays]
        backward(f(*leaves), dout)
        return tuple(leaf.grad for leaf in leaves)

    def product(x, y):
        return x * y

    def difference(x, y):
        return x - y

    hints = {
        "half": "a node with several children gets a part from each of them, and they add up",
        "scattered": "a node with several children gets a part from each of them, and they add up",
        "value": "a node with several children gets a part from each of them, and they add up",
        "missing": "the grad of the leaf is still None: it was not reached, or nothing was stored",
    }
    one = course.probe(3, x="NF", N=4, F=3)
    t.gradient("the same node twice: x x", lambda dout, x: gradients(lambda x: apply(product, x, x), dout, x), "x",
               lambda x: x * x, one, hints=hints)  # fmt: skip
    t.gradient("two children: sin(x) - tanh(x)",
               lambda dout, x: gradients(lambda x: apply(difference, apply(sin, x), apply(tanh, x)), dout, x), "x",
               lambda x: np.sin(x) - np.tanh(x), one, hints=hints)  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def inner(x):
        p = apply(tanh, x)
        return apply(sin, apply(product, p, p))

    def often(x, y):
        c, d = apply(difference, x, apply(sin, y)), apply(difference, apply(sin, x), y)
        return apply(difference, apply(product, c, d), x)

    t.gradient("twice, and no leaf", lambda dout, x: gradients(inner, dout, x), "x",
               lambda x: np.sin(np.tanh(x) ** 2), one, hints=hints)  # fmt: skip
    for name in "xy":
        t.gradient(f"two leaves in several places, {name}", lambda dout, x, y: gradients(often, dout, x, y), name,
                   lambda x, y: (x - np.sin(y)) * (np.sin(x) - y) - x,
                   course.probe(4, x="NF", y="NF", N=4, F=3), hints=hints)  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="engine_order" points=9
import functools

import minidl
from minidl import sin, tanh

with course.checks("the order of backward", lesson=4) as t:
    calls = []  # of the rules

    def apply(f, *parents):  # the Node of f(*parents), with minidl's rules
        tensors = [minidl.Tensor(p.value, requires_grad=True) for p in parents]
        out = f(*tensors)

        def rule(x, g):
            calls.append(f)
            return minidl.grad(out, x, minidl.Tensor(g), retain_graph=True)[0].numpy().copy()

        return Node(out.numpy().copy(), parents, [functools.partial(rule, x) for x in tensors])

    def gradients(f, dout, *arrays):  # what backward leaves in the leaves of f(*leaves)
        leaves = [Node(array) for array in arrays]
        backward(f(*leaves), dout)
        return tuple(leaf.grad for leaf in leaves)

    def counted(f):
        calls.clear()
        gradients(f, np.ones((4, 3)), one["x"])
        return len(calls)

    def product(x, y):
        return x * y

    def difference(x, y):
        return x - y

    def short_first(x):
        p = apply(sin, x)
        return apply(difference, p, apply(tanh, p))

    def long_first(x):
        p = apply(sin, x)
        return apply(difference, apply(tanh, p), p)

    early = "p has two children: it hands on the sum of both parts, and not before both have come in"
    hints = dict.fromkeys(["half", "scattered", "value", "one_slice", "border", "missing_term"], early)
    hints["missing"] = "the grad of the leaf is still None: it was not reached, or nothing was stored"
    one = course.probe(5, x="NF", N=4, F=3)
    t.gradient("p - tanh(p), p = sin(x)", lambda dout, x: gradients(short_first, dout, x), "x",
               lambda x: np.sin(x) - np.tanh(np.sin(x)), one, hints=hints)  # fmt: skip
    t.gradient("tanh(p) - p, p = sin(x)", lambda dout, x: gradients(long_first, dout, x), "x",
               lambda x: np.tanh(np.sin(x)) - np.sin(x), one, hints=hints)  # fmt: skip
    t.that("each of the four rules is called once", lambda: counted(short_first) == counted(long_first) == 4,
           "a node hands on each part when it comes in, instead of their sum when it is complete")  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def diamonds(x):
        for _ in range(8):
            x = apply(product, apply(sin, x), apply(tanh, x))
        return x

    def many(do, x, y):
        nodes, rng = [x, y], np.random.default_rng(6)
        for k in range(24):
            f, parents = (product, difference, sin)[k % 3], (nodes[-1], nodes[rng.integers(len(nodes) - 1)])
            nodes.append(do(f, *parents[:1] if f is sin else parents[::-1] if k % 2 else parents))
        return nodes[-1]

    t.that("eight diamonds in a row, each rule once", lambda: counted(diamonds) == 32,
           "the ways through the graph are followed one by one; there are exponentially many")  # fmt: skip
    for wrt in "xy":
        t.gradient(f"24 operations at random, {wrt}",
                   lambda dout, x, y: gradients(lambda x, y: many(apply, x, y), dout, x, y), wrt,
                   lambda x, y: many(lambda f, *arrays: f(*arrays), x, y),
                   course.probe(7, x="N", y="N", N=4), hints=hints)  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="engine_leaves" points=7
with course.checks("what backward leaves behind", lesson=4) as t:
    one = course.probe(8, x="NF", N=4, F=3)
    a, upstream = one["x"], course.probe(9, g="NF", N=4, F=3)["g"]
    values = [a, np.sin(a), a - np.sin(a)]

    def graph():  # x, s = sin(x), z = x - s
        x = Node(a.copy())
        s = Node(np.sin(a), (x,), (lambda g: g * np.cos(a),))
        return x, s, Node(a - np.sin(a), (x, s), (pass_on, lambda g: -g))

    def twice(dout, x):
        leaf = Node(x)
        s = Node(np.sin(x), (leaf,), (lambda g: g * np.cos(x),))
        z = Node(np.tanh(np.sin(x)), (s,), (lambda g: g * (1 - np.tanh(np.sin(x)) ** 2),))
        backward(z, dout)
        backward(z, dout)
        return leaf.grad

    def unused():
        idle, nodes = Node(np.ones(2)), graph()
        backward(nodes[-1], upstream.copy())
        return idle.grad is None

    def as_before():
        nodes, g = graph(), upstream.copy()
        backward(nodes[-1], g)
        now = [g, *(node.value for node in nodes)]
        return all(np.array_equal(old, new) for old, new in zip([upstream, *values], now, strict=True))

    t.gradient("a second call adds to the first", twice, "x", lambda x: 2 * np.tanh(np.sin(x)), one,
               hints={"half": "the second call has replaced what the first had left",
                      "double": "the second call has found what the first had left in nodes that are no leaves",
                      "missing": "the grad of the leaf is still None: it was not reached, or nothing was stored"},
               )  # fmt: skip
    t.that("an unused leaf keeps None", unused, "a leaf that the root does not depend on was given a grad")
    t.that("values and upstream are as before", as_before,
           "+= writes into the array on its left, and that may be one which a rule has only passed on")  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def thrice(dout, x):
        leaf = Node(x)
        for _ in range(3):
            backward(leaf, dout)
        return leaf.grad

    def apart():
        x, y = Node(a.copy()), Node(a.copy())
        backward(Node(a + a, (x, y), (pass_on, pass_on)), upstream.copy())
        before = np.copy(y.grad)
        zero_grad(x)
        return np.array_equal(x.grad, 0 * a) and np.array_equal(y.grad, before)

    def only_leaves():
        x, s, z = graph()
        backward(z, upstream.copy())
        return s.grad is None and z.grad is None

    t.gradient("the root is a leaf", thrice, "x", lambda x: 3 * x, one)
    t.that("every grad is an array of its own", apart,
           "a grad is the upstream gradient itself: a rule may return what it was given")  # fmt: skip
    t.that("only leaves have a grad", only_leaves, "a grad was stored in a node that is no leaf")
    ### END HIDDEN TESTS

# %% [markdown]
# ## All together
#
# The class below is a tensor with the operators of Python. It holds no derivative: its rules are what you wrote in
# exercises 1 to 6, its `backward` is exercise 7. It trains a network with one hidden layer to tell the two moons apart,
# with the cross-entropy of lesson 10,
#
# $$L = \frac1N\sum_n \Big(\log\sum_k e^{z_{nk}} - z_{n,t_n}\Big), \qquad z = \text{relu}(XW + b)\,V + c ,$$
#
# in which every one of your rules has its place. minidl's engine does the same, from the same start. If the two curves
# on the left are one, you have written an engine.

# %% show
class Tensor(Node):
    """A Node with operators."""

    def __add__(self, other):
        return join(self.value + other.value, add_backward, (self, other), unbroadcast)

    def __mul__(self, other):
        return join(self.value * other.value, mul_backward, (self, other), unbroadcast)

    def __matmul__(self, other):
        return join(self.value @ other.value, matmul_backward, (self, other))

    def __getitem__(self, index):
        return join(self.value[index], index_backward, (self,), index)

    def sum(self, axis=None, keepdims=False):
        return join(self.value.sum(axis, keepdims=keepdims), sum_backward, (self,), axis, keepdims)

    def exp(self):
        return join(np.exp(self.value), exp_backward, (self,))

    def log(self):
        return join(np.log(self.value), log_backward, (self,))

    def relu(self):
        return join(np.maximum(self.value, 0), relu_backward, (self,))


def join(value, rule, parents, *rest):
    """The result of an operation, whose rule gives the gradients of all its parents."""
    values = [p.value for p in parents]

    def part(k):
        return lambda g: rule(g, *values, *rest)[k] if len(parents) > 1 else rule(g, *values, *rest)

    return Tensor(np.asarray(value), parents, [part(k) for k in range(len(parents))])

# %% show
import matplotlib.pyplot as plt

import minidl
from minidl import data
from minidl.viz.style import BLUE, INK, ORANGE, SIGNED, VERMILLION, dress, key

points, classes = data.moons(120, noise=0.12, rng=np.random.default_rng(2))
rng = np.random.default_rng(0)
start = [rng.standard_normal((2, 16)), rng.standard_normal(16), rng.standard_normal((16, 2)) / 4, np.zeros(2)]


def train(make, minus, backward_of, value_of, grad_of, steps=300, rate=0.5):
    """Gradient descent; make: array -> tensor of an engine. The losses, and the trained arrays."""
    arrays, losses = [array.copy() for array in start], []
    for _ in range(steps):
        W, b, V, c = tensors = [make(array) for array in arrays]
        z = (make(points) @ W + b).relu() @ V + c
        loss = (z.exp().sum(axis=1).log() + z[np.arange(120), classes] * minus).sum() * make(np.array(1 / 120))
        backward_of(loss)
        losses.append(float(value_of(loss)))
        arrays = [array - rate * grad_of(tensor) for array, tensor in zip(arrays, tensors, strict=True)]
    return losses, arrays


yours, (W, b, V, c) = train(
    Tensor, Tensor(np.array(-1.0)), lambda loss: backward(loss, np.array(1.0)), lambda t: t.value, lambda t: t.grad
)
theirs, _ = train(
    lambda array: minidl.Tensor(array, requires_grad=True), -1.0, lambda loss: loss.backward(),
    lambda t: t.numpy(), lambda t: t.grad.numpy(),
)  # fmt: skip

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(yours, color=ORANGE, linewidth=5, alpha=0.5, label="your engine")
left.plot(theirs, color=BLUE, linewidth=1.5, label="minidl")
left.set_ylim(bottom=0)
dress(left, "The loss", "step", "cross-entropy")
key(left)
u, v = np.meshgrid(np.linspace(-1.6, 2.6, 160), np.linspace(-1.1, 1.6, 120))
z = np.maximum(np.stack([u, v], axis=-1) @ W + b, 0) @ V + c
belief = np.tanh((z[..., 1] - z[..., 0]) / 4)
right.contourf(u, v, belief, 20, cmap=SIGNED, vmin=-1.5, vmax=1.5)
right.contour(u, v, belief, [0], colors=INK, linewidths=1.2)
for k, marker, colour in ((0, "s", BLUE), (1, "o", VERMILLION)):
    right.scatter(*points[classes == k].T, color=colour, marker=marker, edgecolor="white", s=40)
dress(right, "What it has learnt", "", "", None)
plt.show()
correct = np.mean((np.maximum(points @ W + b, 0) @ V + c).argmax(axis=1) == classes)
print(f"{correct:.0%} of the points right; the losses differ by {np.abs(np.subtract(yours, theirs)).max():.1e} at most")
