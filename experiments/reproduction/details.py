"""Table of all findings of an evaluation."""

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.reproduction.result import Result
from sde_jax.evaluation.markdown import markdown_table
from sde_jax.evaluation.wording import WORDING, with_error

__all__ = ["findings_table"]

Finding = Mapping[str, Any]


def findings_table(result: Result) -> Iterator[str]:
    """Yields a row for each metric, with columns for samples and held-out data in each network.

    The value expected of two sets of these sizes from one distribution is in brackets.
    """
    findings = result.results["findings"]
    columns = list(dict.fromkeys((f["features"], f["of"]) for f in findings if f["features"]))
    cells: dict[str, dict[tuple[str, str], str]] = {}
    for finding in findings:
        column = (finding["features"] or columns[0][0], finding["of"])
        cells.setdefault(finding["metric"], {})[column] = cell(finding)
    titles = (f"{features}: {'samples' if of == 'run' else of}" for features, of in columns)
    yield from markdown_table(
        ["", *titles],
        (
            [WORDING[metric].title, *(cells[metric].get(column, "") for column in columns)]
            for metric in WORDING
            if metric in cells
        ),
    )


def cell(finding: Finding) -> str:
    """Returns a value, its error, and the value expected of one distribution."""
    shown = with_error(finding["value"], finding["stderr"])
    expected = finding.get("expected")
    return shown if expected is None else f"{shown} ({expected:.3g})"
