"""A submission's process seen from the grader: run its cells, call what they define, survive whatever it does.

Nothing that a submission defines is ever run here. Data arrive by value; functions and other objects stay there, and a
`Handle` here stands for them: calls, attributes, operators and indexing are asked of the owner.
"""

from __future__ import annotations

import builtins
import os
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import wire
from .explain import Ended
from .worker import FLAGS

PACKAGE = Path(__file__).resolve().parents[1]
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
OTHERS = ("neg", "pos", "abs", "invert", "getitem", "len")  # no comparisons: a verdict is not asked of the accused
STARTING = 60.0  # seconds: until Python and NumPy are there, which is not the student's time
IDLE = 10  # so many seconds in which a process does not compute count as one: the machine may be busy
KEPT = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TEMP", "LANG")


@dataclass(frozen=True)
class Limits:
    """seconds: of computing, for a call or a cell. megabytes: of memory. closed: folders it should not look into."""

    seconds: float = 10.0
    megabytes: int = 4096
    closed: tuple[str, ...] = ()


class RemoteError(Exception):
    """An exception in the submission's process. names: of its classes; where: the line of the submission."""

    def __init__(self, text: str, names: Sequence[str], where: str) -> None:
        super().__init__(text)
        self.names, self.where = list(names), where


class Session:
    """A submission's process. It is started when it is needed, and anew when it has died."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.flags: list[str] = []
        self._process: subprocess.Popen | None = None
        self._cells: list[tuple[str, str, float]] = []  # those that ran, with their seconds: run again after a death
        self._folder: tempfile.TemporaryDirectory | None = None
        self._lent: dict[int, Callable] = {}
        self._count, self.left = 0, 0.0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def allow(self, seconds: float) -> None:
        """From now on all calls together may take this long, and what was lent so far is no longer ours to call."""
        self.left, self._lent = seconds, {}

    def run(self, name: str, text: str) -> None:
        """Run a cell there. Raises RemoteError with what it raised."""
        process, before = self._alive(), self.left
        try:
            self.ask(process, what="run", name=name, text=text)
        finally:
            if self._process is process:  # one that kills the process is not run again
                self._cells.append((name, text, before - self.left))

    def get(self, names: Sequence[str]) -> dict:
        """What the submission calls by these names, as far as it does: data, or handles."""
        return self.ask(self._alive(), what="get", names=list(names))

    def ask(self, process: subprocess.Popen, **message):
        """Send a message to this process and wait for the answer, at most as long as the limits allow."""
        if process is not self._process:
            raise Ended("its process has ended in the check before")
        return self._exchange(process, message, max(0.01, min(self.limits.seconds, self.left)))

    def _exchange(self, process: subprocess.Popen, message: dict, seconds: float):
        """The answer to a message, within so many seconds of computing."""
        clock, done, late = _Clock(process.pid), threading.Event(), threading.Event()

        def watch() -> None:
            while not done.wait(max(0.02, seconds - clock())):
                if clock() >= seconds:
                    late.set()
                if late.is_set() or process.poll() is not None:  # a child of an ended process may hold its line
                    return _kill_all(process)

        threading.Thread(target=watch, daemon=True).start()
        try:
            sent = wire.send(process.stdin, message, self._lend)
            while True:
                answer, _ = wire.receive(process.stdout, lambda described: _handle(self, process, described))
                if "callback" not in answer:
                    break
                self._call_back(process, answer)
        except wire.Broken as broken:
            self._stop()
            raise _ended(late.is_set(), self.limits.seconds, str(broken)) from None
        finally:
            done.set()
            self.left -= clock()
        return self._result(answer, sent)

    def _result(self, answer: dict, sent: list[np.ndarray]):
        """The value of an answer, or its exception; arrays that were changed there are changed here."""
        try:
            self.flags += [flag for flag in answer["flags"] if flag in FLAGS and flag not in self.flags]
            for i, new in answer["changed"]:
                if i >= 0 and sent[i].shape == np.shape(new) and sent[i].flags.writeable:
                    sent[i][...] = new
            if "error" in answer:
                names = [str(name)[:100] for name in answer["error"][:20]]
                raise RemoteError(str(answer["text"])[:1000], names, str(answer["where"])[:300])
            return answer["value"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Ended("what its process answered cannot be read") from error

    def _call_back(self, process: subprocess.Popen, message: dict) -> None:
        """Call a function of ours for the submission, which was given it as an argument."""
        try:
            if message["callback"] not in self._lent:
                raise RuntimeError("the check that handed in this function is over")
            value = self._lent[message["callback"]](*message["args"], **message["kwargs"])
            wire.send(process.stdin, {"value": value}, self._lend)
        except (wire.Broken, Ended):
            raise
        except Exception as error:
            known = next(c.__name__ for c in type(error).__mro__ if hasattr(builtins, c.__name__))
            wire.send(process.stdin, {"error": known, "text": str(error)}, self._lend)

    def _lend(self, value) -> dict:
        if isinstance(value, Handle):
            return {"object": object.__getattribute__(value, "_number")}
        if not callable(value):
            raise TypeError(f"a check hands in a {type(value).__name__}, which cannot be sent: arrays and numbers can")
        self._count += 1  # numbers are not used again: a function kept from another check is not mistaken for this
        self._lent[self._count] = value
        return {"callback": self._count}

    # --- the process -------------------------------------------------------------------------------------------------

    def _alive(self) -> subprocess.Popen:
        """The process, started and with all earlier cells run if it is not there."""
        if self._process is None:
            left, cells, self._cells = self.left, self._cells, []
            self._start()
            self.left = 2 * sum(took for *_, took in cells) + self.limits.seconds
            for name, text, _ in cells:
                try:
                    self.run(name, text)
                except (RemoteError, Ended):
                    pass  # it was told when it happened first
            self.left = left
        if self._process is None:
            raise Ended("its process ends again and again")
        return self._process

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
        kept = {k: v for k, v in os.environ.items() if k in KEPT}
        folder = os.path.realpath(self._folder.name)
        home = {name: folder for name in ("HOME", "USERPROFILE", "TMPDIR", "NUMBA_CACHE_DIR")}
        steady = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
        threads = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        closed = os.pathsep.join([str(PACKAGE), *map(str, self.limits.closed)])
        self._process = subprocess.Popen(
            [sys.executable, str(PACKAGE / "course" / "worker.py"), str(self.limits.megabytes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder,
            env={**kept, **home, **steady, **threads, "PYTHONUSERBASE": site.getuserbase(), "MINIDL_CLOSED": closed},
            start_new_session=os.name == "posix",
        )  # fmt: skip
        self._exchange(self._process, {"what": "get", "names": []}, STARTING)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _kill_all(process)
        process.wait()
        for line in (process.stdin, process.stdout):
            try:
                line.close()
            except OSError:
                pass
        self._folder.cleanup()


class _Clock:
    """Seconds since it was made that count for a process: those in which it computes, on Linux; elsewhere all.

    So an endless loop ends at the limit, and an honest answer keeps its marks where many processes share few cores.
    """

    def __init__(self, pid: int) -> None:
        self.pid, self.start, self.last = pid, time.monotonic(), 0.0
        self.before = self._computed()

    def _computed(self) -> float | None:
        try:
            return time.clock_gettime(~self.pid << 3 | 2) if sys.platform == "linux" else None  # clock_getcpuclockid(3)
        except OSError:
            return None

    def __call__(self) -> float:
        waited, now = time.monotonic() - self.start, self._computed()
        if self.before is None:
            self.last = waited
        elif now is not None:  # else it has ended
            self.last = max(now - self.before, waited / IDLE)
        return self.last


def _kill_all(process: subprocess.Popen) -> None:
    """The process and, where the system has groups of processes, those it has started."""
    if os.name == "posix":
        import signal

        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    process.kill()


def _ended(late: bool, seconds: float, reason: str) -> Ended:
    if late:
        return Ended(f"it did not end within {seconds:g} seconds: an endless loop?")
    return Ended(f"its process ended ({reason}): os._exit, a crash, or too much memory")


class Handle:
    """Stands for an object in the submission's process. Its class is named after that of the object."""

    def __init__(self, session: Session, process: subprocess.Popen, number: int) -> None:
        for name, value in {"_session": session, "_process": process, "_number": number}.items():
            object.__setattr__(self, name, value)

    def __call__(self, *args, **kwargs):
        return _ask(self, what="call", f=self, args=list(args), kwargs=kwargs)

    def __getattr__(self, name: str):
        if name.startswith("__") and name not in ("__name__", "__doc__"):
            raise AttributeError(name)
        try:
            return _ask(self, what="attribute", of=self, name=name)
        except RemoteError as error:
            if error.names[0] == "AttributeError":
                raise AttributeError(str(error)) from None
            raise

    def __setattr__(self, name: str, value) -> None:
        _ask(self, what="set", of=self, name=name, value=value)


def _ask(handle: Handle, **message):
    session, process = (object.__getattribute__(handle, name) for name in ("_session", "_process"))
    return session.ask(process, **message)


def _operator(name: str, swapped: bool = False) -> Callable:
    def method(self, *others):
        return _ask(self, what="operator", name=name, args=[*others, self] if swapped else [self, *others])

    return method


for _name in (*OPERATORS, *OTHERS):
    setattr(Handle, f"__{_name}__", _operator(_name))
for _name in OPERATORS:
    setattr(Handle, f"__r{_name}__", _operator(_name, swapped=True))
Handle.__bool__ = lambda self: True
Handle.__iter__ = None  # it would end with an IndexError, which comes as a RemoteError
Handle.__array_ufunc__ = None  # an array on the left leaves the operation to the handle


def _handle(session: Session, process: subprocess.Popen, described: dict) -> Handle:
    kind = str(described["kind"])  # a name of the submission's own choice could carry data
    kind = kind if hasattr(builtins, kind) or kind in ("function", "ndarray", "generator") else "object"
    return type(kind, (Handle,), {})(session, process, int(described["object"]))
