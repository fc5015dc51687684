"""``sde-jax data show SOURCE`` and ``data statistics SOURCE``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from sde_jax.arguments import UsageError
from sde_jax.command_line import data_show, data_statistics
from sde_jax.command_line.parsing import parse


@dataclass(frozen=True, kw_only=True)
class Data:
    """Shows a data set or computes its statistics."""

    command: (
        Annotated[data_show.Show, tyro.conf.subcommand("show")]
        | Annotated[data_statistics.Statistics, tyro.conf.subcommand("statistics")]
    )


COMMANDS: dict[str, tuple[type, Callable[[Any], dict[str, Any]]]] = {
    "show": (data_show.Show, data_show.main),
    "statistics": (data_statistics.Statistics, data_statistics.main),
}


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    if not args or args[0] not in COMMANDS:
        raise UsageError(
            "data needs `show` or `statistics`, and a SOURCE: `data show --help` and "
            "`data statistics --help` explain."
        )
    options, run = COMMANDS[args[0]]
    return run(parse(options, args[1:], f"sde-jax data {args[0]}"))
