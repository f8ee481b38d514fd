"""Module: a function with parameters, made of smaller ones; the base of every layer and model.

What is assigned to an attribute is found again: a `Parameter` is trained, a `Module` is a child, a buffer
(`register_buffer`) is kept with the weights but not trained. Nothing is registered twice: the attributes of the object
are the register, and the walks below read them.

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = nn.Linear(2, 8), nn.Linear(8, 1)

        def forward(self, x):
            return self.out(F.relu(self.hidden(x)))
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator

import numpy as np

from ..arrays import describe
from ..engine import Tensor
from ..memory import Memory
from .hooks import run_hooked
from .parameter import Parameter
from .state import Differences, each_once, load_state, named_state, own_buffers, own_parameters
from .summary import summarize


class Module:
    """Base of all layers and models: write `__init__` (what there is) and `forward` (what it does).

    training: are we in training mode? Set by `train()` and `eval()`; dropout and batch norm obey it.

    >>> from minidl import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    training: bool

    def __init__(self) -> None:
        vars(self).update(training=True, _buffers={}, _hooks={})  # _buffers: name -> is it saved with the weights?

    def forward(self, *args, **kwargs):
        """What the module computes; subclasses write it, users call the module itself."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, x): write one, it is what a call runs")

    def __call__(self, *args, **kwargs):
        for a in args:
            if type(a) is np.ndarray and a.dtype.kind == "f":
                args = tuple(Tensor(b) if type(b) is np.ndarray and b.dtype.kind == "f" else b for b in args)
                break
        if self._hooks:
            return run_hooked(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # --- Attributes -------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value) -> None:
        if "_buffers" not in vars(self) and isinstance(value, Parameter | Module):
            raise AttributeError(
                f"{type(self).__name__}.{name} was assigned before super().__init__(); call super().__init__() on the "
                "first line of __init__, it makes the place where parameters and layers are kept"
            )
        known = vars(self).get(name)
        if isinstance(known, Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter and cannot become {describe(value)}; assign "
                f"nn.Parameter(...) or None, or set its values with {name}.data = ..."
            )
        if name in vars(self).get("_buffers", ()) and not isinstance(value, Tensor | None):
            raise TypeError(
                f"{type(self).__name__}.{name} is a buffer and cannot become {describe(value)}; assign a Tensor or None"
            )
        if isinstance(value, list | dict):
            _check_no_layers(self, name, value)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str):  # only called for what is not there
        kind = type(self).__name__
        if "_buffers" not in vars(self):
            raise AttributeError(f"{kind} has no '{name}' yet: call super().__init__() on the first line of __init__")
        near = difflib.get_close_matches(name, [n for n in dir(self) if not n.startswith("_")], 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"{kind} has no attribute '{name}'{hint}", name=name, obj=self)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """The same as assigning the attribute; None for a parameter that this layer goes without."""
        if not isinstance(parameter, Parameter | None):
            raise TypeError(f"register_parameter('{name}') needs an nn.Parameter or None, not {describe(parameter)}")
        setattr(self, name, parameter)

    def register_buffer(self, name: str, tensor, persistent: bool = True) -> None:
        """Keep a tensor that is not trained, such as a running mean.

        It follows `astype`, and `state_dict` contains it if `persistent`. Arrays become Tensors; None is a buffer that
        this layer goes without. Raises TypeError for a tensor that requires a gradient.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            tensor = Tensor(tensor)
        if isinstance(tensor, Parameter) or (tensor is not None and tensor.requires_grad):
            raise TypeError(f"buffer '{name}' requires a gradient, so it is no buffer: assign it as nn.Parameter")
        _check_name(self, name)
        self._buffers[name] = persistent
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module) -> None:
        """The same as assigning the attribute, for names that are not Python's, such as '0'."""
        if not isinstance(module, Module):
            what = f"the class nn.{module.__name__}: write {module.__name__}(...)" if isinstance(module, type) else None
            what = what or f"{describe(module)}; wrap a function in a Module of your own"
            raise TypeError(f"{type(self).__name__}: '{name}' must be a Module, not {what}")
        _check_name(self, name)
        setattr(self, name, module)

    # --- Walks ------------------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly inside this one."""
        found = []
        for name, value in vars(self).items():
            if isinstance(value, Module):
                found.append((name, value))
            elif isinstance(value, list | dict) and name not in ("_buffers", "_hooks"):
                _check_no_layers(self, name, value)  # filled after it was assigned
        return iter(found)

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", _seen: set | None = None) -> Iterator[tuple[str, Module]]:
        """(dotted name, module) of this module and all inside it, parents first, each once."""
        seen = set() if _seen is None else _seen
        if self not in seen:
            seen.add(self)
            yield prefix, self
            for name, child in self.named_children():
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, parents first, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter); one that is shared appears once, under its first name."""
        return each_once(self, prefix, recurse, own_parameters)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once: what an optimiser wants. recurse=False: only this module's own."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, buffer), each once."""
        return each_once(self, prefix, recurse, own_buffers)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # --- State ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and persistent buffers by dotted name; names and order are PyTorch's.

        NumPy arrays: for PyTorch, {name: torch.from_numpy(a) for name, a in state.items()} (a safetensors file needs
        no such step).
        """
        return {name: tensor._array.copy() for name, tensor in named_state(self)}

    def load_state_dict(self, state: dict, strict: bool = True) -> Differences:
        """Take the values of a `state_dict`, of minidl or of PyTorch.

        All names, shapes and dtypes are compared first; if anything differs, one ValueError lists everything and
        nothing is changed. strict=False tolerates missing and unexpected names, and returns them.
        """
        return load_state(self, state, strict)

    def train(self, mode: bool = True) -> Module:
        """Training mode, here and in everything inside: dropout drops, batch norm uses the batch. Returns self."""
        if not isinstance(mode, bool):
            raise TypeError(f"train(mode) needs True or False, not {describe(mode)}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode: dropout is the identity, batch norm uses its running statistics. Returns self.

        The gradient is another matter: `with minidl.no_grad():` says that nothing is to be recorded.
        """
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients: `grad` becomes None."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def requires_grad_(self, value: bool = True) -> Module:
        """Freeze (False) or unfreeze all parameters. Returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = value
        return self

    def apply(self, function: Callable[[Module], None]) -> Module:
        """Call function(module) for everything inside and then for this module, to initialise. Returns self."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def astype(self, dtype) -> Module:
        """Parameters, their gradients and floating buffers get this float dtype, in place. Returns self."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"the parameters of a module are floating numbers, they cannot become {np.dtype(dtype)}")
        for tensor in (*self.parameters(), *self.buffers()):
            for t in (tensor, tensor._grad):
                if t is not None and t.dtype.kind == "f" and t.dtype != dtype:
                    t._array, t._memory = t._array.astype(dtype), Memory()
        return self

    def float(self) -> Module:
        """Single precision: astype(np.float32)."""
        return self.astype(np.float32)

    def double(self) -> Module:
        """Double precision: astype(np.float64)."""
        return self.astype(np.float64)

    # --- Looking inside ---------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Callable) -> Callable[[], None]:
        """Call hook(module, args) before forward; what it returns (if not None) replaces args. Returns the remover."""
        return self._register("pre", hook)

    def register_forward_hook(self, hook: Callable) -> Callable[[], None]:
        """Call hook(module, args, output) after forward; what it returns (if not None) replaces the output.

        Returns the remover.
        """
        return self._register("forward", hook)

    def register_full_backward_hook(self, hook: Callable) -> Callable[[], None]:
        """Call hook(module, grad_input, grad_output) once backward has passed through the module.

        Both are tuples of Tensors, with None where no gradient is needed. If one input needs a gradient, a returned
        Tensor replaces it. Returns the remover.
        """
        return self._register("backward", hook)

    def _register(self, kind: str, hook: Callable) -> Callable[[], None]:
        self._hooks[kind] = (*self._hooks.get(kind, ()), hook)

        def remove() -> None:
            left = tuple(h for h in self._hooks.pop(kind, ()) if h is not hook)
            self._hooks.update({kind: left} if left else {})

        return remove

    def summary(self, *inputs) -> str:
        """A table of all layers with output shapes and parameter counts, for inputs like these.

        inputs: for each argument of forward an example, or a shape (N, C, H, W) for zeros. Runs once in evaluation mode
        without recording; modes, running statistics and random streams are as before.
        """
        return summarize(self, inputs)

    def extra_repr(self) -> str:
        """What a layer adds to its line in `repr`, such as its sizes."""
        return ""

    def __repr__(self) -> str:
        extra, children = self.extra_repr(), list(self.named_children())
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = [extra] * bool(extra) + [f"({name}): {child!r}" for name, child in children]
        inner = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inner}\n)"

    def __deepcopy__(self, memo: dict) -> Module:
        """An independent copy; hooks stay with the original, they belong to whoever looks at it."""
        twin = memo[id(self)] = object.__new__(type(self))
        vars(twin).update({k: copy.deepcopy(v, memo) for k, v in vars(self).items() if k != "_hooks"}, _hooks={})
        return twin


def _check_no_layers(module: Module, name: str, value: list | dict) -> None:
    if any(isinstance(item, Module | Parameter) for item in (value.values() if isinstance(value, dict) else value)):
        raise TypeError(
            f"{type(module).__name__}.{name} is a {type(value).__name__} of layers or parameters, in which they would "
            "not be found: not trained, not saved. Use nn.ModuleList, nn.ModuleDict or nn.Sequential (or a tuple, if "
            "they should stay hidden)"
        )


def _check_name(module: Module, name: str) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise ValueError(f"{type(module).__name__}: {name!r} is no name for a layer or buffer: a string without '.'")
    if hasattr(type(module), name) or not isinstance(vars(module).get(name), Module | Tensor | None):
        raise ValueError(f"{type(module).__name__} has something else called '{name}' already; choose another name")
