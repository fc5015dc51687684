"""``sde-jax compare RUN RUN ...``."""

from typing import Any

from sde_jax.command_line.options.compare import Compare
from sde_jax.evaluation.comparison import compare, markdown, newest, rows_of

PLAIN = str.maketrans({"é": "e", "±": "+-"})
"""ASCII replacements, for terminals of any encoding."""


def main(options: Compare) -> dict[str, Any]:
    """Runs the command and returns its results."""
    records = [newest(run) for run in options.runs]
    print(*(line.translate(PLAIN) for line in markdown(records, rows_of(records))), sep="\n")
    return compare(records, options.out)
