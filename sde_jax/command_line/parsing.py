"""Parses arguments with tyro, and reports every refusal in one line."""

import contextlib
import dataclasses
import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import tyro

from sde_jax.arguments import UsageError
from sde_jax.training.run_config import read_config

Arguments = TypeVar("Arguments")


LEAST_COLUMNS, LONGEST_LINE = 40, 900
CONFIG = (tyro.conf.AvoidSubcommands, tyro.conf.SuppressFixed)


def parse(
    kind: type[Arguments],
    args: list[str],
    program: str,
    default: Arguments | None = None,
    *,
    run: Path | None = None,
) -> Arguments:
    """Parses arguments into the dataclass ``kind``; exits with 2 where they are wrong.

    Args:
      kind: the dataclass.
      args: the arguments.
      program: what the user typed before them, such as ``sde-jax sample``.
      default: values of the options that are not given.
      run: the RUN that the options depend on, which a refusal then names.
    """
    captured = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(captured), wide_enough():
            arguments = tyro.cli(kind, args=args, prog=program, config=CONFIG, **options)
        sys.stderr.write(captured.getvalue())
        check_files(arguments)
        if isinstance(path := getattr(arguments, "run", None), Path):
            read_config(path)
        return arguments
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
    explaining = program if run is None else f"{program} {run}"
    return refuse(f"{complaint(captured.getvalue())} ({explaining} --help explains)")


def check_files(value: Any) -> None:
    """Raises UsageError for devices, pipes and sockets among arguments: they may never end."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            check_files(getattr(value, field.name))
    elif isinstance(value, str | Path) and os.path.exists(value):
        regular = os.path.isfile(value) or os.path.isdir(value)
        if not regular:
            raise UsageError(f"{value} is neither a file nor a folder.")


@contextlib.contextmanager
def wide_enough() -> Iterator[None]:
    """Lets tyro see a terminal of 40 columns at least: in one column, a help takes minutes."""
    before, columns = os.environ.get("COLUMNS"), shutil.get_terminal_size().columns
    os.environ["COLUMNS"] = str(max(columns, LEAST_COLUMNS))
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def refuse(message: str, code: int = 2) -> NoReturn:
    """Prints one line on stderr, without the middle of a long message, and exits."""
    line = " ".join(message.split())
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 4 :]}"
    print(f"error: {line}", file=sys.stderr)
    sys.exit(code)


PLAINER: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"Error parsing (--\S+): .*invalid literal for int.*: (.*)", r"\1 takes an integer: got \2"),
    (r"Error parsing (--\S+): .*not convert string to float: (.*)", r"\1 takes a number: got \2"),
    (r"Error parsing \w+: (.*)", r"\1"),
    (r"Error parsing (?:experiment\.)?(\S+: .*)", r"\1"),
    (r"Missing value for argument '(.*)'\..*", r"\1 needs a value"),
    (r"Missing from .*?: (\S+) .*", r"\1 is missing"),
    (
        r"invalid choice (.*) for argument '(.*)'\. .* \((.*)\)\.",
        lambda match: choices(*match.groups()),
    ),
)


def choices(value: str, argument: str, listed: str) -> str:
    """Describes a value that is not one of those listed; tyro lists None, too."""
    names = sorted(set(re.findall("'(.*?)'", listed)) - {"None"})
    return f"{argument} must be one of {', '.join(names)}: got {value}"


def complaint(box: str) -> str:
    """Condenses tyro's box (title, message, help on the arguments) into one plain line."""
    sections = [
        " ".join(part.split()) for part in re.split("[─-]{3,}", re.sub("[│╭╮╰╯]", " ", box))
    ]
    message = next((part for part in sections[1:] if part), box)
    for pattern, replacement in PLAINER:
        message, found = re.subn(f"^{pattern}$", replacement, message)
        if found:
            break
    perhaps = re.search(r"Perhaps you meant: (--[\w.-]+)", " ".join(sections))
    return f"{message}. Perhaps you meant {perhaps.group(1)}" if perhaps else message


def check_first(kind: type, args: list[str], program: str) -> None:
    """Checks that arguments begin with a RUN, on which the defaults of the options depend.

    Without one, the help shows the defaults of ``kind``; it exits, as does a missing RUN.

    Raises:
      UsageError: if an option comes first.
      NotARunError: if there is no run.
    """
    if args[:1] in ([], ["-h"], ["--help"]):
        parse(kind, args, program)
    if args[0].startswith("-"):
        raise UsageError(
            f"{program.split()[-1]} needs the RUN first: its experiment has the other defaults."
        )
    read_config(Path(args[0]))
