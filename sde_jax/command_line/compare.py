"""``sde-jax compare RUN RUN ...``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_jax.arguments import UsageError
from sde_jax.evaluation.comparison import compare, markdown, newest, rows_of

PLAIN = str.maketrans({"é": "e", "±": "+-"})
"""ASCII replacements, for terminals of any encoding."""


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Puts the newest evaluations of several runs into one table and one figure."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directories, each evaluated."""
    out: Path = Path("runs/comparison")
    """The folder for comparison.md, comparison.html and comparison.png, which are replaced."""


def main(options: Compare) -> dict[str, Any]:
    """Runs the command and returns its results."""
    if len(options.runs) < 2:
        raise UsageError(f"compare needs two runs or more: got {len(options.runs)}.")
    records = [newest(run) for run in options.runs]
    print(*(line.translate(PLAIN) for line in markdown(records, rows_of(records))), sep="\n")
    return compare(records, options.out)
