"""Opens the run of a command whose defaults are those of the run's experiment."""

from pathlib import Path

from sde_jax.arguments import UsageError
from sde_jax.command_line.parsing import parse
from sde_jax.recipes.generative import Generative
from sde_jax.runs.trained_run import GenerativeRun, open_run_of
from sde_jax.training.processes import join_processes


def open_first(kind: type, args: list[str], program: str) -> GenerativeRun:
    """Opens the RUN that the arguments begin with.

    Without a RUN, the help shows the defaults of ``kind``; it exits, as does a missing RUN.

    Raises:
      UsageError: if an option comes first.
    """
    if args[:1] in ([], ["-h"], ["--help"]):
        parse(kind, args, program)
    if args[0].startswith("-"):
        raise UsageError(
            f"{program.split()[-1]} needs the RUN first: its experiment has the other defaults."
        )
    join_processes()
    return open_run_of(Generative, Path(args[0]))
