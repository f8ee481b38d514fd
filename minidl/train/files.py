"""Arrays on disk: safetensors files that are either the old one or the new one, whatever kills the process.

A file is written under a temporary name in the same folder, flushed to the disk, and then renamed over the old one,
which operating systems do in one step. The format is safetensors (a length, a JSON header, the raw numbers; see
github.com/huggingface/safetensors), which PyTorch and others read; it holds numbers and text and, unlike a pickle,
cannot run code when it is read. A checksum in the header finds numbers that have changed on the way.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["load", "load_weights", "save", "save_weights"]

INTEGERS = [f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)]
DTYPES = {"bool", "float16", "float32", "float64", "complex64", *INTEGERS}
CHECKSUM = "crc32"  # metadata keys
CHECKPOINT = "minidl checkpoint"


def save(path: str | os.PathLike, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays, and text about them, to a safetensors file; an old file at `path` stays whole until then.

    tensors: name -> array or Tensor; dtypes are kept. metadata: text -> text. Equal content gives equal bytes.

    Raises TypeError for a dtype the format does not have or metadata that is not text, FileNotFoundError if the folder
    does not exist. If anything fails, the old file is untouched.

    >>> import tempfile, minidl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     minidl.train.save(folder + "/a.safetensors", {"w": np.arange(3.0)}, {"made by": "me"})
    ...     minidl.train.load(folder + "/a.safetensors")
    ({'w': array([0., 1., 2.])}, {'made by': 'me'})
    """
    arrays = {name: _storable(name, value) for name, value in tensors.items()}
    metadata = dict(metadata or {})
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str) or key == CHECKSUM:
            raise TypeError(
                f"metadata maps text to text and leaves the key {CHECKSUM!r} to minidl, not {key!r}: {value!r:.60}; "
                "turn other values into text first, with json.dumps"
            )
    metadata[CHECKSUM] = _checksum(arrays, metadata)
    write_atomically(path, _serialize(arrays, metadata))


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read (tensors, metadata) from a safetensors file, made by `save` or by another program.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(_missing(path))
    data = path.read_bytes()
    try:
        tensors = parse(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {_diagnosis(data)} ({type(error).__name__}: {error})") from None
    metadata = header.get("__metadata__", {})
    checksum = metadata.pop(CHECKSUM, None)
    if checksum is not None and checksum != _checksum(tensors, metadata):
        raise ValueError(f"cannot read {path}: its content does not match its checksum, so it was changed or damaged "
                         "after it was saved; use another copy")
    return {name: tensors[name] for name in sorted(tensors)}, metadata


def save_weights(model: Any, path: str | os.PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model's parameters and buffers; PyTorch reads them with `safetensors.torch.load_file(path)`."""
    save(path, model.state_dict(), metadata)


def load_weights(model: Any, path: str | os.PathLike, strict: bool = True) -> Any:
    """Read parameters and buffers into a model, from `save_weights`, a checkpoint or PyTorch.

    Returns what `model.load_state_dict(state, strict)` returns. Names, shapes and dtypes are compared first; every
    difference is reported at once, and then nothing is loaded.
    """
    tensors, metadata = load(path)
    if CHECKPOINT in metadata:
        tensors = {name[6:]: array for name, array in tensors.items() if name.startswith("model/")}
    try:
        return model.load_state_dict(tensors, strict=strict)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise type(error)(f"the weights in {Path(path)} do not fit this model: {error}") from None


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Replace the content of a file in one step; temporary files that killed processes have left are removed."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    for stray in path.parent.glob(f".{_literal(path.name)}.????????.tmp"):
        with contextlib.suppress(OSError):  # gone already, or in use by a process that saves under the same name
            stray.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            text = f"another process or thread saved {path} at the same time; give each a path of its own"
            raise RuntimeError(text) from None
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name is safe once the folder is on the disk as well
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _storable(name: str, value: Any) -> np.ndarray:
    array = np.asarray(getattr(value, "_array", value), order="C")
    if array.dtype.name not in DTYPES:
        raise TypeError(f"a safetensors file cannot hold {name!r} of dtype {array.dtype}; convert it to one of "
                        f"{', '.join(sorted(DTYPES))}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _serialize(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file. The library writes metadata in random order, so the header is made anew."""
    from safetensors.numpy import save as serialize

    data = serialize(arrays)
    end = 8 + int.from_bytes(data[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(data[8:end])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[end:]


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    names = sorted(arrays)
    about = [[name, arrays[name].dtype.name, arrays[name].shape] for name in names]
    crc = zlib.crc32(json.dumps([about, sorted(metadata.items())]).encode())
    for name in names:
        crc = zlib.crc32(arrays[name], crc)
    return f"{crc:08x}"


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder, not a file{_beside(path)}"
    if not path.parent.is_dir():
        return f"there is no file {path}, nor a folder {path.parent}"
    return f"there is no file {path}{_beside(path.parent)}"


def _beside(folder: Path) -> str:
    found = sorted(p.name for p in folder.glob("*.safetensors"))
    return f"; the folder {folder} holds {', '.join(found[:8]) or 'no .safetensors file'}"


_SIGNATURES = {
    b"PK\x03\x04": "a zip file, such as PyTorch's .pt or NumPy's .npz",
    b"\x80\x02": "a pickle, such as an old .pt",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a NumPy .npy file",
    b"\x89HDF": "an HDF5 file, such as Keras's .h5",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
}


def _diagnosis(data: bytes) -> str:
    """What the file seems to be instead, and what to do."""
    if not data:
        return "it is empty; save it again, or use another copy"
    if data[8:9] == b"{":
        return "it is a safetensors file that was cut short or damaged, by a broken copy perhaps; use another copy"
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            advice = "minidl reads .safetensors only"
            if "pickle" in kind or "zip" in kind:
                advice += "; in PyTorch, safetensors.torch.save_file(model.state_dict(), path) makes one"
            return f"it is {kind}; {advice}"
    if b"\0" not in data[:512]:
        with contextlib.suppress(UnicodeDecodeError):
            data[:512].decode("ascii")
            return "it is a text file; minidl reads .safetensors only"
    return "it is not a safetensors file, or its beginning is damaged; use another copy"
