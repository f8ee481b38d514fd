"""Everything that a forward pass or a loader may draw from, remembered and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import random

from .checkpoint import generators_of, loader_state


def remember_draws(model: Any, *loaders: Any) -> Callable[[], None]:
    """Remember the place of all random streams and of the generators that modules and loaders keep for themselves.

    Returns the function that puts them back there.
    """
    streams = random.get_state()
    own = [(generator, generator.bit_generator.state) for _, generator in generators_of(model)]
    orders = [(loader, state) for loader in loaders if (state := loader_state(loader)) is not None]

    def put_back() -> None:
        if streams != random.get_state():
            random.set_state(streams)
        for generator, state in own:
            generator.bit_generator.state = state
        for loader, state in orders:
            loader.load_state_dict(state)

    return put_back
