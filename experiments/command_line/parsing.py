"""Arguments by tyro, and every refusal in one line."""

import contextlib
import io
import re
import sys
from typing import Any, NoReturn, TypeVar

import tyro

Arguments = TypeVar("Arguments")


class UsageError(ValueError):
    """Arguments that are right one by one but cannot be served; the message is one line."""


CONFIG = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff, tyro.conf.SuppressFixed)


def parse(
    kind: type[Arguments], args: list[str], command: str, default: Arguments | None = None
) -> Arguments:
    """The arguments of a command as the dataclass ``kind``; exits with 2 where they are wrong."""
    program = f"python -m experiments {command}"
    captured = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(captured):
            return tyro.cli(kind, args=args, prog=program, config=CONFIG, **options)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
    return refuse(f"{_summary(captured.getvalue())} ({program} --help explains)")


def refuse(message: str, code: int = 2) -> NoReturn:
    """Prints one line on stderr and exits."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _summary(box: str) -> str:
    """What tyro says in its box, up to the help on arguments, without the frame."""
    lines = [line.strip("│ \t") for line in box.splitlines() if line.startswith("│")]
    sections = re.split(r"\s*─{3,}\s*", " ".join(lines))
    perhaps = re.search(r"Perhaps you meant:\s+(--[\w.-]+)", " ".join(sections))
    hint = f". Perhaps you meant {perhaps.group(1)}" if perhaps else ""
    return (sections[0] or box.strip()) + hint
