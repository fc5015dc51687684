"""The command line, run in this process: JAX is imported once for all tests."""

import contextlib
import functools
import io
import json
import re
from typing import NamedTuple

from experiments.__main__ import main as experiments_main
from sde_jax.command_line.main import main, run

RING = [
    *("--network.width", 16, "--network.depth", 1, "--sampling.steps", 8),
    *("--training.steps", 4, "--training.checkpoint-every", 2, "--training.log-every", 2),
    *("--training.batch-size", 16, "--training.eval-examples", 16, "--training.eval-every", 4),
]
"""Options of a run of the ring that takes seconds."""

CLASSIFIER = [
    *("--network.channels", 4, "--network.multipliers", 1, "--network.features", 6),
    *("--training.steps", 2, "--training.batch-size", 16, "--training.eval-examples", 16),
]
"""Options of a run of the digits' classifier that takes seconds."""


class Outcome(NamedTuple):
    """How a command ended and what it said."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def results(self):
        """The JSON object on the last line of stdout."""
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def messages(self):
        """The lines on stderr, without progress bars."""
        lines = re.split(r"[\r\n]+", self.stderr)
        return [line for line in lines if line.strip() and not re.search(r"\d+%\|", line)]


def run_command(*args):
    """How a command of ``sde-jax`` ended."""
    return outcome_of(main, args)


def run_experiments(*args):
    """How ``python -m experiments`` ended."""
    return outcome_of(functools.partial(run, experiments_main), args)


def outcome_of(program, args):
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            code = program([str(arg) for arg in args])
        except SystemExit as exit_:
            code = exit_.code
    return Outcome(code, stdout.getvalue(), stderr.getvalue())


def succeed(*args):
    """The results of a command that must succeed."""
    outcome = run_command(*args)
    assert outcome.code == 0, outcome.stderr
    return outcome.results


def reproduce(*args):
    """The results of ``python -m experiments``, which must succeed."""
    outcome = run_experiments(*args)
    assert outcome.code == 0, outcome.stderr
    return outcome.results


def refusal(*args, code=2, run=run_command):
    """The one line on stderr of a command that must be refused."""
    outcome = run(*args)
    assert outcome.code == code, outcome
    (line,) = outcome.messages
    assert line.startswith("error: ")
    assert len(line) < 1000
    return line


def contents(folder):
    """Every file below a folder, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
