"""Where data files live, and how they get there: resumed, checked, and never half-written under their own name."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

__all__ = ["data_folder", "fetch", "find"]

_TIMEOUT = 20.0  # seconds without an answer
_BLOCK = 1 << 16


def data_folder(root: str | os.PathLike | None = None) -> Path:
    """The folder for data sets: `root`, else the environment variable MINIDL_DATA, else a cache folder in the home.

    That is ~/.cache/minidl (or $XDG_CACHE_HOME/minidl) on Linux, ~/Library/Caches/minidl on macOS and
    %LOCALAPPDATA%\\minidl on Windows (XDG Base Directory Specification and the makers' own guidelines).
    """
    chosen = root if root is not None else os.environ.get("MINIDL_DATA") or None
    if chosen is not None:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "minidl"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minidl"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minidl"


def find(folder: Path, name: str, filename: str, md5: str) -> Path | None:
    """The file, if it is there: in folder/name, packed or unpacked; or in the folder itself, if it is the original.

    Several sets use the same file names, hence the difference: in a folder of its own a file is taken for what it is
    said to be, in a common one it must have the published checksum.
    """
    for path in (folder / name / filename, folder / name / filename.removesuffix(".gz")):
        if path.is_file():
            return path
    path = folder / filename
    return path if path.is_file() and _md5(path) == md5 else None


def fetch(
    name: str, filename: str, mirrors: Sequence[str], md5: str, root: str | os.PathLike | None = None,
    download: bool = True,
) -> Path:
    """The path of a data file: a local one if there is one (see `find`), else downloaded into the folder.

    mirrors: the addresses of the folders that hold `filename`, tried in turn. md5: the published checksum.
    A download goes to `filename.part`, is taken up again where it broke off (HTTP Range, RFC 9110 section 14), and gets
    its name only when the checksum is right.
    Raises FileNotFoundError that says which file to put where, if it is not there and cannot be had.
    """
    folder = data_folder(root)
    path = find(folder, name, filename, md5)
    if path is not None:
        return path
    target, problems = folder / name / filename, []
    if (folder / filename).is_file():
        problems.append(f"{folder / filename} has another checksum than {name}'s {md5}: damaged, or of another set")
    if not download:
        problems.append("downloading is switched off (download=False)")
    for mirror in mirrors if download else ():
        try:
            return _download(mirror + filename, target, md5)
        except (OSError, http.client.HTTPException, ValueError) as error:
            problems.append(f"{mirror + filename}: {str(error) or type(error).__name__}")
    raise FileNotFoundError(
        f"{name} needs the file {filename}, which is not in {folder}.\n"
        + "".join(f"  - {p}\n" for p in problems)
        + f"Put it at {target}; it can be had from\n"
        + "".join(f"    {mirror}{filename}\n" for mirror in mirrors)
        + "Or name the folder that holds it, with root=... or the environment variable MINIDL_DATA."
    )


def _download(url: str, target: Path, md5: str) -> Path:
    """From one mirror: fetch the rest, check, rename. Raises OSError or ValueError and keeps what may be of use."""
    part = target.with_name(target.name + ".part")
    resumed = part.exists()
    _fetch_rest(url, part)
    if _md5(part) != md5:
        part.unlink()
        if not resumed:
            raise ValueError(f"what came has the wrong checksum (expected md5 {md5})")
        return _download(url, target, md5)  # the old part may have been at fault: once more, from the start
    os.replace(part, target)
    return target


def _fetch_rest(url: str, part: Path) -> None:
    """Complete `part` from where it ends."""
    from tqdm import tqdm

    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "minidl", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing beyond `start`: the part is complete, or not of this file
            return
        raise
    with response:
        if response.status != 206:
            start = 0  # the whole file again: this server does not resume
        elif not re.match(rf"bytes {start}-", given := response.headers.get("Content-Range", "")):
            raise ValueError(f"asked for the bytes from {start} on, was sent {given!r}")
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        part.parent.mkdir(parents=True, exist_ok=True)  # only now: a failure leaves no empty folders behind
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None, leave=False)
        with open(part, "ab" if start else "wb") as file, bar:
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size != total:
        raise ValueError(f"the connection broke after {part.stat().st_size} of {total} bytes; run it again to resume")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # the checksum the sets were published with; no protection intended
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
