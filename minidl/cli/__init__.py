"""The command line: `minidl train`, `gradcheck`, `course`, `doctor`. Thin: everything is done by the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from . import course, doctor, gradcheck, train

COMMANDS = {"train": train, "gradcheck": gradcheck, "course": course, "doctor": doctor}


def parser() -> argparse.ArgumentParser:
    """The commands with their arguments; each command's file adds its own."""
    top = argparse.ArgumentParser(prog="minidl", description="A deep-learning framework in NumPy.")
    top.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name, module in COMMANDS.items():
        summary = module.__doc__.splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where a check failed, 2 for arguments that cannot be used."""
    args = parser().parse_args(argv)
    try:
        return COMMANDS[args.command].run(args)
    except KeyboardInterrupt:
        print(f"minidl {args.command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `minidl gradcheck | head`
        return 141
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"minidl {args.command}: {error}", file=sys.stderr)
        return 2
