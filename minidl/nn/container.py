"""Modules made of modules: one after the other, in a list, in a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..arrays import describe
from .module import Module


class _Numbered(Module):
    """Children in order, by number; what Sequential and ModuleList share."""

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Module:
        """A layer by its number; a slice is a new container with the same layers (shared, not copied)."""
        if isinstance(index, slice):
            return self._part(dict(list(self.named_children())[index]))
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name(index), module)

    def append(self, module: Module) -> _Numbered:
        """One more at the end. Returns self."""
        names = dict(self.named_children())
        number = len(names)
        while str(number) in names:  # the names of a part need not begin at 0
            number += 1
        self.add_module(str(number), module)
        return self

    def extend(self, modules: Iterable[Module]) -> _Numbered:
        """Several more at the end. Returns self."""
        for module in modules:
            self.append(module)
        return self

    def _name(self, index: int) -> str:
        names = [name for name, _ in self.named_children()]
        if not isinstance(index, int):
            raise TypeError(f"{type(self).__name__} is indexed by an integer or a slice, not {describe(index)}")
        if not -len(names) <= index < len(names):
            raise IndexError(f"{type(self).__name__} has {len(names)} layers, there is no number {index}")
        return names[index]


class Sequential(_Numbered):
    """Layers one after the other: f_n(... f_2(f_1(x))).

    Give the layers as arguments, or one dictionary name -> layer. `model[0]`, `model[-1]`, `model[:2]`, len and
    iteration work; the state's keys are '0.weight' or 'name.weight'.

    >>> from minidl import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, layer in layers[0].items():
                self.add_module(name, layer)
        else:
            self.extend(layers)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x

    def _part(self, layers: dict) -> Sequential:
        return Sequential(layers)  # the names are kept, as in PyTorch


class ModuleList(_Numbered):
    """A list of modules whose parameters are found; what to do with them is up to the model's forward.

    >>> from minidl import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def _part(self, layers: dict) -> ModuleList:
        return ModuleList(layers.values())


class ModuleDict(Module):
    """A dictionary of modules whose parameters are found.

    >>> from minidl import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "colour": nn.Linear(8, 3)})
    >>> list(heads.keys())
    ['digit', 'colour']
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self.add_module(name, module)

    def __getitem__(self, name: str) -> Module:
        if name not in self:
            raise KeyError(f"ModuleDict has no module {name!r}, only {list(self.keys())}")
        return getattr(self, name)

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __contains__(self, name: str) -> bool:
        return name in self.keys()

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self):
        """The names."""
        return dict(self.named_children()).keys()

    def values(self):
        """The modules."""
        return dict(self.named_children()).values()

    def items(self):
        """(name, module)."""
        return dict(self.named_children()).items()
