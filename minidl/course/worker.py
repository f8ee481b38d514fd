"""The process in which a submission runs: it is told to run cells and to call what they define, and answers.

Started as a script by `remote.py`, in an empty folder, with limits. In this process minidl cannot be imported, nor any
framework that would do the work; `from minidl import course` gives a stand-in that does nothing, for the checks are
run by the grader. What is printed goes nowhere. See README, "What the grader does and does not prove".
"""

from __future__ import annotations

import builtins
import importlib.machinery
import linecache
import operator
import os
import random
import re
import sys
import traceback
import types

FOREIGN = {
    "minidl", "torch", "torchvision", "tensorflow", "keras", "jax", "jaxlib", "flax", "autograd", "mygrad", "tinygrad",
    "mxnet", "paddle", "chainer", "theano", "cupy", "sklearn", "scipy", "cv2", "skimage", "onnxruntime",
}  # fmt: skip
REFUSED = {  # audit events of the interpreter: a submission computes, it starts no process and sends nothing
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill",
    "os.killpg", "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "socket.sendto",
    "socket.getaddrinfo", "signal.pthread_kill", "os.link", "os.symlink", "resource.prlimit", "resource.setrlimit",
}  # fmt: skip
CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.utime",
}  # fmt: skip
READS, WRITES = "opens files of the course", "changes files outside its folder"
FLAGS = {f"imports {name}" for name in FOREIGN} | {f"uses {event}" for event in REFUSED} | {READS, WRITES}


class Nothing:
    """Stands for `minidl.course`: whatever is asked of it does nothing."""

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs) -> Nothing:
        return self

    def __iter__(self):
        return iter(())

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_) -> bool:
        return True


def stand_in() -> None:
    """A module `minidl` with an empty `course`."""
    package, course = types.ModuleType("minidl"), types.ModuleType("minidl.course")
    package.__path__, package.course = [], course
    nothing = Nothing()
    course.__getattr__ = lambda name: getattr(nothing, name)
    for module in (package, course):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module


def guard(flags: list[str], closed: list[str]) -> None:
    """Refuse foreign modules, other processes, the network, the files of the course, and changes elsewhere; note it."""
    inside = os.path.join(place(os.getcwd()), "")
    ours = tuple(os.path.join(place(folder), "") for folder in closed)
    other_process = rf"/proc/(?!{os.getpid()}/)\d"
    libraries = tuple(os.path.join(place(path), "") for path in sys.path if place(path).startswith(ours))

    def refuse(flag: str, why: str, kind: type = PermissionError) -> None:
        if flag not in flags and not by_a_library():
            flags.append(flag)
        raise kind(why)

    def outside(path) -> bool:
        return isinstance(path, str | bytes) and not place(path).startswith(inside) and os.fsdecode(path) != os.devnull

    def hook(event: str, args: tuple) -> None:
        if event == "import" and isinstance(args[0], str) and args[0].partition(".")[0] in FOREIGN:
            package = args[0].partition(".")[0]
            why = f"{package} may not be imported in an assignment: NumPy and the standard library are enough"
            refuse(f"imports {package}", why, ImportError)
        if event in REFUSED:
            refuse(f"uses {event}", f"{event} is refused in an assignment")
        if event in CHANGES and any(map(outside, args[:2])):
            refuse(WRITES, "an assignment may change files in its own folder only")
        if event == "open" and isinstance(args[0], str | bytes) and outside(args[0]):
            if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                refuse(WRITES, "an assignment may write files into its own folder only")
            path = place(args[0])
            if (path.startswith(ours) and not path.startswith(libraries)) or re.match(other_process, path):
                refuse(READS, "the files of the course are closed to an assignment")

    sys.addaudithook(hook)


def place(path: str | bytes) -> str:
    """Where a path leads, links and all, in a form that can be compared."""
    return os.path.normcase(os.path.realpath(os.fsdecode(path)))


def by_a_library() -> bool:
    """Is it numba that looks for SciPy, or matplotlib for fonts? Both do without, and it is not the student's doing."""
    frame = sys._getframe(3)
    while frame is not None and ("importlib" in (file := frame.f_code.co_filename) or file.endswith("subprocess.py")):
        frame = frame.f_back
    parts = frame.f_code.co_filename.split(os.sep) if frame else []
    return "numba" in parts or "matplotlib" in parts


def limit(megabytes: int) -> None:
    """Memory and the size of files; where the system has no such limits (Windows) only time is limited."""
    try:
        import resource
    except ImportError:
        return
    amounts = {"RLIMIT_AS": megabytes << 20, "RLIMIT_FSIZE": 64 << 20, "RLIMIT_CORE": 0, "RLIMIT_CPU": 900}
    for kind, amount in amounts.items():
        try:
            resource.setrlimit(getattr(resource, kind), (amount, amount))
        except (ValueError, OSError, AttributeError):
            pass  # macOS refuses some of them


class Worker:
    """Answers messages until the line is closed."""

    def __init__(self, reader, writer, wire, flags: list[str]) -> None:
        self.reader, self.writer, self.wire, self.flags = reader, writer, wire, flags
        module = sys.modules["__main__"] = types.ModuleType("__main__")  # dataclasses and numba look names up there
        self.names: dict = module.__dict__
        self.objects: list = []  # what was lent to the grader

    def lend(self, value) -> dict:
        self.objects.append(value)
        kind = f"array of {value.dtype}" if type(value).__name__ == "ndarray" else type(value).__name__
        return {"object": len(self.objects) - 1, "kind": kind}

    def find(self, described: dict):
        if "callback" in described:
            return lambda *args, **kwargs: self.call_back(described["callback"], args, kwargs)
        return self.objects[described["object"]]

    def call_back(self, number: int, args: tuple, kwargs: dict):
        """A function of the grader's that was handed in as an argument."""
        self.wire.send(self.writer, {"callback": number, "args": list(args), "kwargs": kwargs}, self.lend)
        while "what" in (answer := (arrived := self.wire.receive(self.reader, self.find))[0]):
            self.answer(*arrived)  # it asks something in its turn before it answers
        if "error" in answer:
            raise getattr(builtins, answer["error"], RuntimeError)(answer["text"])
        return answer["value"]

    def serve(self) -> None:
        try:
            while True:
                self.answer(*self.wire.receive(self.reader, self.find))
        except self.wire.Broken:
            return

    def answer(self, message: dict, arrays: list) -> None:
        """Do what a message asks, and send what came of it."""
        before = [a.copy() for a in arrays]
        try:
            random.seed(0)
            self.wire.np.random.seed(0)  # noqa: NPY002  a submission may use it; two gradings must agree
            said = {"value": self.do(**message)}
        except self.wire.Broken:
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt are only the student's errors too
            said = failure(error)
        pairs = enumerate(zip(arrays, before, strict=True))
        said["changed"] = [[i, a] for i, (a, b) in pairs if a.tobytes() != b.tobytes()]
        said["flags"] = list(self.flags)
        try:
            self.wire.send(self.writer, said, self.lend)
        except self.wire.Broken:
            raise
        except BaseException as error:
            self.wire.send(self.writer, {**failure(error), "changed": [], "flags": []}, self.lend)

    def do(self, what: str, **message):
        if what == "run":
            return self.run(**message)
        if what == "get":
            return {name: self.names[name] for name in message["names"] if name in self.names}
        if what == "call":
            return message["f"](*message["args"], **message["kwargs"])
        if what == "attribute":
            return getattr(message["of"], message["name"])
        if what == "set":
            return setattr(message["of"], message["name"], message["value"])
        return (len if message["name"] == "len" else getattr(operator, message["name"]))(*message["args"])

    def run(self, name: str, text: str) -> None:
        file = f"<{name}>"
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
        exec(compile(text, file, "exec", dont_inherit=True), self.names)


def failure(error: BaseException) -> dict:
    """An exception as plain data: the names of its classes, its text, and the last line of the submission it met."""
    where = ""
    try:
        for frame, number in traceback.walk_tb(error.__traceback__):
            file = frame.f_code.co_filename
            if file in linecache.cache and file.startswith("<"):
                where = f"cell {file[1:-1]}, line {number}: {linecache.getline(file, number).strip()}"
        text = str(error.msg) if isinstance(error, SyntaxError) else str(error)
        if isinstance(error, SyntaxError) and error.lineno:
            where = f"cell {str(error.filename).strip('<>')}, line {error.lineno}"
        text = re.sub(r"0x[0-9a-fA-F]{6,}", "0x...", text[:1000]).replace(os.getcwd(), ".")  # the same in each grading
    except BaseException:  # an exception whose text raises
        text = "(its text cannot be shown)"
    return {"error": [c.__name__ for c in type(error).__mro__], "text": text, "where": where[:300]}


def main() -> None:
    here, megabytes, closed = sys.path.pop(0), int(sys.argv[1]), os.environ.pop("MINIDL_CLOSED").split(os.pathsep)
    loader = importlib.machinery.SourceFileLoader("wire", os.path.join(here, "wire.py"))
    wire = types.ModuleType("wire")
    sys.modules["wire"] = wire
    loader.exec_module(wire)
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    sys.argv = sys.orig_argv = ["submission"]
    wire.np.seterr(all="ignore")
    for file in (__file__, os.path.join(here, "wire.py")):
        linecache.getlines(file)  # a traceback shows lines of them; opened later, that would be called prying
    stand_in()
    flags: list[str] = []
    limit(megabytes)
    guard(flags, closed)
    Worker(reader, writer, wire, flags).serve()


if __name__ == "__main__":
    main()
