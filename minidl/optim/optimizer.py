"""What all optimisers share: groups of parameters, their state, one step over all of them, saving and loading.

A subclass is its formula. For every parameter that has a gradient, `step` calls `update(w, g, state, **options)`, which
changes the array `w` in place; `slots` names the arrays that the method remembers from step to step.

    class SignSGD(Optimizer):
        def __init__(self, params, lr=0.01):
            super().__init__(params, {"lr": lr})

        def update(self, w, g, state, lr, **_):
            w -= lr * np.sign(g)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ..arrays import describe
from ..engine import Tensor
from ..kernels import update as rules
from ..mode import enable_grad
from .options import option
from .parameters import as_list, collect
from .saving import copied, differences, pack

PIECE = 32768  # elements that are updated at a time
_NOT_FOR_UPDATE = {"params", "param_names", "initial_lr", "maximize"}


class Optimizer:
    """Base class of the update rules.

    params: an ordered collection of parameters (Tensors, or pairs (name, Tensor)), or a list of groups: dictionaries
    with "params" and options of their own, such as `{"params": [b], "lr": 0.1}`. defaults: the options of a group that
    does not give its own.

    Everything an optimiser computes and remembers has the dtype of the parameter. It makes no NaN from finite numbers
    unless they overflow (NumPy warns then), and hides none: a NaN in a gradient goes into its parameter. Parameters
    without a gradient (grad None) are left as they are, weight decay included.

    Raises ValueError or TypeError for parameters and options that cannot be meant; see `step` for the rest.
    """

    def __init__(self, params: Iterable, defaults: dict) -> None:
        self.defaults = {name: option(self._name, name, value) for name, value in defaults.items()}
        self.param_groups: list[dict] = []
        self.state: dict[Tensor, dict] = {}
        self._seen: dict[int, tuple] = {}  # id of a group -> its values when they were checked, and what came of it
        items = as_list(params, self._name)
        grouped = [isinstance(item, dict) for item in items]
        if any(grouped) and not all(grouped):
            raise TypeError(f"{self._name} got groups (dicts) and bare parameters mixed; put the parameters in a group")
        for group in items if all(grouped) else [{"params": items}]:
            self.add_param_group(group)

    def slots(self, **options) -> dict[str, float]:
        """The arrays that the method keeps for each parameter, and the value that each starts from."""
        return {}

    def update(self, w: np.ndarray, g: np.ndarray, state: dict, **options) -> None:
        """The formula: change `w` in place, given the gradient `g`, the slots and the count of steps in `state`."""
        raise NotImplementedError(f"{self._name} must define update(self, w, g, state, **options)")

    def decay(self, w: np.ndarray, g: np.ndarray, weight_decay: float = 0.0, **_) -> np.ndarray:
        """Coupled weight decay: the derivative of weight_decay/2 |w|^2 is added to the gradient. Not called for 0."""
        return g + weight_decay * w if weight_decay else g

    # decay and update in one pass over large arrays, by a kernel: minidl/kernels/update.py. None: there is no kernel.
    fused: Callable | None = None

    def __init_subclass__(cls, **arguments) -> None:
        """A class that changes the formula has no kernel, unless it brings its own."""
        super().__init_subclass__(**arguments)
        owner = next(base for base in cls.__mro__ if "fused" in vars(base))
        if any(getattr(cls, name) is not getattr(owner, name) for name in ("update", "decay", "slots")):
            cls.fused = None

    def step(self, closure: Callable | None = None):
        """Update every parameter that has a gradient.

        closure: a function that computes the loss anew, with its gradients, and returns it; `step` calls it first and
        returns what it returned. Raises RuntimeError where no parameter has a gradient, and ValueError for a gradient
        or a slot whose shape or dtype is not the parameter's; nothing is changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        waiting = []
        for group in self.param_groups:
            options = self._options(group)
            waiting += [(p, p._grad._array, options) for p in group["params"] if p._grad is not None]
        if not waiting:
            raise RuntimeError(
                f"{self._name}.step(): no parameter has a gradient. Call loss.backward() after zero_grad() and before "
                "step(); or is this not the model that made the loss, or are all parameters frozen?"
            )
        for p, g, _ in waiting:
            self._check_fit(p, g)
        for p, g, options in waiting:
            self._update_one(p, g, *options)
        return loss

    def _options(self, group: dict) -> tuple[dict, dict, bool]:
        """What `update` is told about a group, the slots, maximize. Checked where anything was assigned since."""
        seen, *found = self._seen.get(id(group), ((),))
        if len(seen) != len(group) or not all(map(operator.is_, seen, group.values())):
            self._check(group)
            options = {name: value for name, value in group.items() if name not in _NOT_FOR_UPDATE}
            found = options, self.slots(**options), group.get("maximize", False)
            self._seen[id(group)] = tuple(group.values()), *found
        return found

    def _check_fit(self, p: Tensor, g: np.ndarray) -> None:
        """ValueError unless the gradient and the slots have the parameter's shape and dtype."""
        shape, dtype = p._array.shape, p._array.dtype
        for name, array in (("the gradient", g), *self.state.get(p, {}).items()):
            if name != "step" and (array.shape != shape or array.dtype != dtype):
                raise ValueError(
                    f"{self._name}.step(): {name}, {array.dtype} {array.shape}, does not fit its parameter "
                    f"{describe(p)}. Change a model's dtype or shapes before the optimiser is made"
                )

    def _update_one(self, p: Tensor, g: np.ndarray, options: dict, slots: dict, maximize: bool) -> None:
        w = p._writable()
        state = self.state.get(p)
        if state is None:
            state = self.state[p] = {"step": 0}
        for name, start in slots.items():
            if name not in state:
                state[name] = np.full_like(w, start)
        state["step"] += 1
        if w.size >= rules.LARGE and self.fused is not None and rules.compiles(w, [state[name] for name in slots]):
            return self.fused(w, g, state, maximize=maximize, **options)
        decays = options.get("weight_decay") != 0
        for w_piece, g_piece, state_piece in ((w, g, state),) if w.size <= PIECE else _pieces(w, g, state):
            g_piece = -g_piece if maximize else g_piece
            g_piece = self.decay(w_piece, g_piece, **options) if decays else g_piece
            self.update(w_piece, g_piece, state_piece, **options)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients. set_to_none=False makes them zeros: then `step` still moves by momentum and decay."""
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    p._grad = None if set_to_none else Tensor(np.zeros_like(p._grad._array))

    def add_param_group(self, group: dict) -> None:
        """Optimise more parameters: `{"params": [...], option: value, ...}`; the other options are the defaults."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"{self._name}: a group is a dict with 'params', not {describe(group)}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else group["params"]
        named = collect(params, self._name)
        new = self._check({**self.defaults, **group, "params": list(named)})
        if new.get("lr") == 0:
            raise ValueError(f"{self._name}: lr must be > 0, not {new['lr']}")
        for k, other in enumerate(self.param_groups):
            for p in other["params"]:
                if p in named:
                    raise ValueError(f"{self._name}: {describe(p)} of the new group is in group {k} already")
        if None not in named.values():
            new["param_names"] = list(named.values())
        self.param_groups.append(new)

    def _check(self, group: dict) -> dict:
        """Check the options of a group, which anyone may have changed, and make them plain Python values."""
        for name, value in group.items():
            if name in self.defaults or name == "initial_lr":
                group[name] = option(self._name, name, value)
            elif name not in ("params", "param_names"):
                raise ValueError(f"{self._name} has no option '{name}'; it has {', '.join(self.defaults)}")
        return group

    def state_dict(self) -> dict:
        """A copy of options and state as plain data: dicts with str keys, lists, numbers, str, None, NumPy arrays.

        {"optimizer": name, "param_groups": [{option: value, ..., "params": [param, ...]}, ...]}, where each param is
        {"name": str or None, "shape": list, "dtype": str, "state": {"step": n, slot: array, ...}}; its state is {}
        before its first step. A run that goes on from it is bit-identical.
        """
        return pack(self)

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over options and state. Names (where both sides have them), shapes, dtypes and slots must fit.

        Raises ValueError with every difference there is; nothing is changed then.
        """
        found = differences(self, state_dict)
        if found:
            raise ValueError(f"{self._name} cannot load this state:\n  " + "\n  ".join(found))
        options = [self._check({**saved, "params": None}) for saved in state_dict["param_groups"]]
        for group, new in zip(self.param_groups, options, strict=True):
            group.update({**new, "params": group["params"]})
        self.state.clear()
        for group, saved_group in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for p, saved in zip(group["params"], saved_group["params"], strict=True):
                if saved["state"]:
                    self.state[p] = copied(saved["state"])

    @property
    def _name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [f"{self._name}("]
        for k, group in enumerate(self.param_groups):
            options = ", ".join(f"{name}={v}" for name, v in group.items() if name not in ("params", "param_names"))
            values = sum(p.size for p in group["params"])
            lines.append(f"  group {k}: {len(group['params'])} parameters, {values:,} values, {options}")
        return "\n".join([*lines, ")"])


def _pieces(w: np.ndarray, g: np.ndarray, state: dict) -> Iterator[tuple[np.ndarray, np.ndarray, dict]]:
    """The parameter, its gradient and its state cut into pieces.

    An update is elementwise. Done piece by piece, the intermediate results of its formula are small and stay in the
    processor's cache; that is faster than whole arrays, and the formula needs no tricks to save memory.
    """
    arrays = {name: a for name, a in state.items() if isinstance(a, np.ndarray)}
    if not all(a.flags.c_contiguous for a in (w, g, *arrays.values())):
        yield w, g, state
        return
    w, g, arrays = w.reshape(-1), g.reshape(-1), {name: a.reshape(-1) for name, a in arrays.items()}
    for start in range(0, w.size, PIECE):
        part = slice(start, start + PIECE)
        yield w[part], g[part], {**state, **{name: a[part] for name, a in arrays.items()}}
