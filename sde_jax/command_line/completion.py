"""``sde-jax --print-completion SHELL``."""

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

import tyro

from sde_jax.command_line.anomalies import Anomalies
from sde_jax.command_line.compare import Compare
from sde_jax.command_line.data_show import Show
from sde_jax.command_line.data_statistics import Statistics
from sde_jax.command_line.evaluate import Evaluate
from sde_jax.command_line.exporting import Export
from sde_jax.command_line.importing import Import
from sde_jax.command_line.label import Label
from sde_jax.command_line.likelihood import Likelihoods
from sde_jax.command_line.listing import List
from sde_jax.command_line.parsing import refuse
from sde_jax.command_line.quickstart import Quickstart
from sde_jax.command_line.sample import Sample
from sde_jax.command_line.train import Train
from sde_jax.command_line.watch import Watch
from sde_jax.command_line.weights import Weights
from sde_jax.editing.options import EditOptions
from sde_jax.recipes.built_in import quickstart

__all__ = ["OPTIONS", "print_completion"]

Shell = Literal["bash", "zsh", "fish"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Shows a data set or computes its statistics."""

    command: (
        Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Statistics, tyro.conf.subcommand("statistics")]
    )


OPTIONS: dict[str, type] = {
    "list": List,
    "train": Train,
    "watch": Watch,
    "sample": Sample,
    "label": Label,
    "likelihood": Likelihoods,
    "anomalies": Anomalies,
    "evaluate": Evaluate,
    "compare": Compare,
    "edit": EditOptions,
    "import": Import,
    "export": Export,
    "data": Data,
    "weights": Weights,
    "quickstart": Quickstart,
}
"""The options of each command."""


def print_completion(args: list[str]) -> int:
    """Prints the script that completes commands and options in a shell, and returns 0.

    The options of `train` are those of the quickstart's experiment, a score model.
    """
    if len(args) != 1 or args[0] not in get_args(Shell):
        refuse(f"--print-completion takes one of {', '.join(get_args(Shell))}.")
    train = Train(experiment=quickstart(), workdir=Path("runs/quickstart"))
    defaults: dict[type, dict[str, Any]] = {Train: {"default": train}}
    commands = tuple(
        Annotated[
            kind,
            tyro.conf.subcommand(name, **defaults.get(kind, {})),
            tyro.conf.OmitArgPrefixes if kind is Data else tyro.conf.AvoidSubcommands,
        ]
        for name, kind in OPTIONS.items()
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
