"""An optimiser as plain data, and what does not fit between such data and an optimiser."""

from __future__ import annotations

import numpy as np


def pack(optimizer) -> dict:
    """See `Optimizer.state_dict`."""
    groups = []
    for group in optimizer.param_groups:
        options = {name: list(v) if isinstance(v, tuple) else v for name, v in group.items() if name != "param_names"}
        states = [copied(optimizer.state.get(p, {})) for p in group["params"]]
        params = [{**label, "state": state} for label, state in zip(_labels(group), states, strict=True)]
        groups.append({**options, "params": params})
    return {"optimizer": type(optimizer).__name__, "param_groups": groups}


def copied(state: dict) -> dict:
    """The state of one parameter, with arrays of its own."""
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in state.items()}


def _labels(group: dict) -> list[dict]:
    names = group.get("param_names") or [None] * len(group["params"])
    return [
        {"name": name, "shape": list(p.shape), "dtype": str(p.dtype)}
        for name, p in zip(names, group["params"], strict=True)
    ]


def differences(optimizer, saved: dict) -> list[str]:
    """Everything that keeps `saved` from being loaded, one line each."""
    if not isinstance(saved, dict) or set(saved) != {"optimizer", "param_groups"}:
        return ["it is not the state_dict() of a minidl optimiser, which has 'optimizer' and 'param_groups'"]
    here, there, found = optimizer.param_groups, saved["param_groups"], []
    if saved["optimizer"] != type(optimizer).__name__:
        found.append(f"it was saved by {saved['optimizer']}, this is {type(optimizer).__name__}")
    if len(there) != len(here):
        found.append(f"{len(there)} groups saved, {len(here)} here")
    for k, (theirs, ours) in enumerate(zip(there, here, strict=False)):
        found += [f"group {k}: {line}" for line in _group_differences(theirs, ours)]
        slots = optimizer.slots(**{**ours, **theirs})
        for n, (param, label) in enumerate(zip(theirs["params"], _labels(ours), strict=False)):
            found += [f"group {k}, parameter {n}: {line}" for line in _param_differences(param, label, slots)]
    return found


def _group_differences(theirs: dict, ours: dict) -> list[str]:
    found = []
    optional = {"param_names", "initial_lr"}
    if set(theirs) - set(ours) - optional:
        found.append(f"options saved that are unknown here: {', '.join(sorted(set(theirs) - set(ours) - optional))}")
    if set(ours) - set(theirs) - optional:
        found.append(f"options not saved: {', '.join(sorted(set(ours) - set(theirs) - optional))}")
    if len(theirs["params"]) != len(ours["params"]):
        found.append(f"{len(theirs['params'])} parameters saved, {len(ours['params'])} here")
    return found


def _param_differences(param: dict, label: dict, slots: dict) -> list[str]:
    compared = ["shape", "dtype"] if None in (param["name"], label["name"]) else ["name", "shape", "dtype"]
    found = [f"{what} {param[what]} saved, {label[what]} here" for what in compared if param[what] != label[what]]
    state = param["state"]
    if state:
        found += [f"{name} not saved" for name in ("step", *slots) if name not in state]
    for name, value in state.items():
        if isinstance(value, np.ndarray) and (list(value.shape), str(value.dtype)) != (param["shape"], param["dtype"]):
            found.append(f"{name} is {value.dtype} {value.shape}, and its parameter {param['dtype']} {param['shape']}")
    return found
