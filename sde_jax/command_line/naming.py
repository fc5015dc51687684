"""Checks the NAME of ``sde-jax train NAME``."""

import sys

from sde_jax.arguments import UsageError
from sde_jax.interop.configurations import published_names
from sde_jax.runs.definition_names import locate, names

HELP = """\
usage: sde-jax train NAME [OPTIONS]

Trains the experiment NAME in a run directory, or a published model by its name or from the .json
file that `export` writes. The experiments, whose options differ:

  {names}

and the published models:

  {published}

`list` says what they are, `train NAME --help` explains every option.
"""


def check_name(args: list[str]) -> None:
    """Checks that arguments begin with the NAME of an experiment; without one, the help lists them.

    Raises:
      UsageError: if an option comes first, or nothing.
      ConfigurationError: if there is no such experiment.
    """
    if args[:1] in (["-h"], ["--help"]):
        shown = {"names": names(), "published": published_names()}
        print(HELP.format(**{key: "\n  ".join(value) for key, value in shown.items()}), end="")
        sys.exit()
    if not args or args[0].startswith("-"):
        raise UsageError("train needs the NAME of an experiment first: `list` shows them.")
    locate(args[0])
