"""``sde-jax --print-completion SHELL``."""

import contextlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

import tyro

from sde_jax.command_line.options.data_show import Show
from sde_jax.command_line.options.data_statistics import Statistics
from sde_jax.command_line.options.train import Train
from sde_jax.command_line.parsing import refuse
from sde_jax.recipes.built_in import quickstart

Shell = Literal["bash", "zsh", "fish"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Shows a data set or computes its statistics."""

    command: (
        Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Statistics, tyro.conf.subcommand("statistics")]
    )


def print_completion(args: list[str], options: Mapping[str, type]) -> int:
    """Prints the script that completes commands and options in a shell, and returns 0.

    The options of `train` are those of the quickstart's experiment, a score model.

    Args:
      args: the name of the shell.
      options: the options of each command.
    """
    if len(args) != 1 or args[0] not in get_args(Shell):
        refuse(f"--print-completion takes one of {', '.join(get_args(Shell))}.")
    train = Train(experiment=quickstart(), workdir=Path("runs/quickstart"))
    defaults: dict[str, dict[str, Any]] = {"train": {"default": train}}
    kinds = {name: kind for name, kind in options.items() if " " not in name} | {"data": Data}
    commands = tuple(
        Annotated[
            kind,
            tyro.conf.subcommand(name, **defaults.get(name, {})),
            tyro.conf.OmitArgPrefixes if name == "data" else tyro.conf.AvoidSubcommands,
        ]
        for name, kind in kinds.items()
    )
    print(script(Union[commands], args[0]), end="")  # noqa: UP007
    return 0


def script(commands: Any, shell: str) -> str:
    """Returns the script that tyro writes for a shell, with descriptions of one line each.

    tyro's scripts hold all options in the literal COMPLETION_SPEC, and take a line break in a
    description for the end of a completion.
    """
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured):
        try:
            tyro.cli(commands, prog="sde-jax", args=["--tyro-write-completion", shell, "-"])
        except SystemExit as exit_:
            if exit_.code:
                raise
    return re.sub(
        r"^.*COMPLETION_SPEC = .*$",
        lambda line: re.sub(r"\\+n", " ", line[0]),
        captured.getvalue(),
        flags=re.MULTILINE,
    )
