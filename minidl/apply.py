"""What a call of an operation does, written out for its arguments.

Every operation does the same when it is called: take the arrays out of the tensors, compute, and note who is to get a
gradient and what its rule will need. As a loop over arguments of any number and kind this takes several times as long
as a small array's multiplication. So it is written out, for each operation once, when it is first called, as Python's
dataclasses write their `__init__`. `print(minidl.mul.op.source())` shows the result:

    def mul(x=REQUIRED, y=REQUIRED, *more, **words):
        if x is REQUIRED or y is REQUIRED or more or words:
            return apply(*op.bind((x, y, *more), words))
        x_, y_ = x, y
        to_x = to_y = None
        tensors = outside = foreign = False
        if isinstance(x, Tensor):
            tensors, x_, to_x = True, x._array, x._node
            if to_x is None:
                outside, to_x = True, x if x._requires_grad else None
            elif x._memory is not None:
                outside = True
        elif type(x) not in plain:
            outside = foreign = True
        ...                                          and the same for y
        if outside and tensors:
            x_, y_ = operands(x_, y_)
        try:
            out = forward(x_, y_)
        except (IndexError, TypeError, ValueError) as error:
            raise op.explained(error, (x_, y_)) from error
        if not tensors:
            return out
        if outside or type(out) is not ndarray:
            out = as_result(op, out, (x_, y_))
        edges = []
        if mode.recording:
            if to_x is not None:
                edges.append((0, to_x, (y_,)))       the rule of x needs y
            if to_y is not None:
                edges.append((1, to_y, (x_,)))       the rule of y needs x
        return record(op, out, edges, outside, (x, y), (x_, y_))

x_ is the plain value of x, and to_x the node or leaf that its gradient goes to. `outside`: some argument is not the
result of an operation (or is a view of a leaf), so that somebody could write to it; `foreign`: some argument is neither
a Tensor nor one of Python's own numbers. An operation that is not elementwise converts arguments only then.
"""

from __future__ import annotations

import keyword
import re
from inspect import Parameter

REQUIRED = Parameter.empty  # stands for an argument that was not given

START = """\
def {name}({signature}, *more, **words):
    if {missing}more or words:
        return apply(*op.bind(({args}, *more), words))
    {values}, = {args},
    {receivers} = None
    tensors = outside = foreign = False
"""
ARGUMENT = """\
    if isinstance({p}, Tensor):
        tensors, {p}_, to_{p} = True, {p}._array, {p}._node
        if to_{p} is None:
            outside, to_{p} = True, {p} if {p}._requires_grad else None
        elif {p}._memory is not None:
            outside = True
    elif type({p}) not in plain:
        outside = foreign = True
"""
CALL = """\
    if {convert} and tensors:
        {values}, = operands({values},)
    try:
        out = forward({values})
    except (IndexError, TypeError, ValueError) as error:
        raise op.explained(error, ({values},)) from error
    if not tensors:
        return out
    if {convert} or type(out) is not ndarray:
        out = as_result(op, out, ({values},))
    edges = []
    if mode.recording:
"""
EDGE = """\
        if to_{p} is not None:
            edges.append(({k}, to_{p}, ({saved})))
"""
REFUSAL = """\
        if to_{p} is not None:
            op.refuse({k})
"""


END = """\
    return record(op, out, edges, outside, ({args},), ({values},))
"""
TAKEN = {*re.findall(r"\w+", START + ARGUMENT + CALL + EDGE + REFUSAL + END), *keyword.kwlist}  # mean something here


def written_out(op) -> str:
    """The source of the function that users call for this operation."""
    params = op.params
    if TAKEN.intersection(params) or {*params}.intersection(name for p in params for name in (f"{p}_", f"to_{p}")):
        params = [f"argument_{k}" for k in range(len(params))]  # a call by the real name goes through op.bind
    args, values = ", ".join(params), ", ".join(f"{p}_" for p in params)
    places = ["out", *(f"{p}_" for p in params), *(f"getattr({p}_, 'shape', ())" for p in params)]
    given = zip(params, op.defaults, strict=True)
    lines = [START.format(
        name=op.name if op.name.isidentifier() and not keyword.iskeyword(op.name) else "operation",
        signature=", ".join(f"{p}=defaults[{k}]" for k, p in enumerate(params)),
        missing="".join(f"{p} is REQUIRED or " for p, default in given if default is REQUIRED),
        args=args,
        values=values,
        receivers=" = ".join(f"to_{p}" for p in params),
    )]  # fmt: skip
    lines += [ARGUMENT.format(p=p) for p in params]
    convert = "outside" if op.elementwise else "foreign"  # leaves of several dtypes may meet in elementwise operations
    lines.append(CALL.format(values=values, convert=convert))
    for k, p in enumerate(params):
        saved = "".join(f"{places[place]}, " for place in op.needs[k]) if k < len(op.rules) and op.rules[k] else None
        lines.append(REFUSAL.format(p=p, k=k) if saved is None else EDGE.format(p=p, k=k, saved=saved))
    lines.append(END.format(args=args, values=values))
    return "".join(lines)
