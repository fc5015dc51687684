"""Option types and checks that settings and commands share."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_jax.validation import shown

LARGEST_COUNT = 2**31 - 1
"""The largest number of an example."""


class UsageError(ValueError):
    """Arguments that are right one by one but cannot be served; the message is one line."""


Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""Off unless its option is given."""


def option(kind: str, default: str) -> Any:
    """Marks an option that may be None: how its value and its default are called in the help."""
    return tyro.conf.arg(metavar=kind, help_behavior_hint=f"(default: {default})")


RunPath = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="The run directory.")
]
DataDir = Annotated[
    str | None,
    option("DIR", "$TFDS_DATA_DIR, else ~/tensorflow_datasets"),
    tyro.conf.arg(help="The folder of prepared sets, for the name of one."),
]


def check_counts(**counts: int | None) -> None:
    """Raises ValueError for the first option that is no count; None stands for all."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"`{name}` must be at least 1: got {count}.")
        if count is not None and count > LARGEST_COUNT:
            raise ValueError(f"`{name}` must be at most {LARGEST_COUNT:,}: got {shown(count)}.")


def check_seed(seed: int) -> None:
    """Raises ValueError for what is no seed of a key."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must lie between 0 and 2^32 - 1: got {shown(seed)}.")
