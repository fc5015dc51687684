"""All that was found of one run: by its evaluation, and by its report."""

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.reproduction.found import Found
from sde_jax.evaluation.markdown import markdown_table
from sde_jax.evaluation.wording import WORDING, with_error

__all__ = ["findings_table", "report_table"]

Finding = Mapping[str, Any]


def findings_table(found: Found) -> Iterator[str]:
    """The lines of a table with a column for the samples and for held-out data in each network's
    features; what two sets of these sizes of one distribution would have is in brackets."""
    findings = found.results["findings"]
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
    """A value, its error, and what is expected of one distribution."""
    shown = with_error(finding["value"], finding["stderr"])
    expected = finding.get("expected")
    return shown if expected is None else f"{shown} ({expected:.3g})"


def report_table(found: Found) -> Iterator[str]:
    """The lines of a table with a row for each group of numbers in a report."""
    rows: dict[str, Mapping[str, str]] = {}
    for name, group in found.results["report"].items():
        if isinstance(group, dict):
            nested = {
                f"{name}: {key}": part for key, part in group.items() if isinstance(part, dict)
            }
            rows |= {title: shown(numbers) for title, numbers in (nested or {name: group}).items()}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    yield from markdown_table(
        ["", *columns], ([name, *(row[column] for column in columns)] for name, row in rows.items())
    )


def shown(numbers: Mapping[str, float]) -> dict[str, str]:
    """Numbers by their names, or one of them with its error."""
    if "stderr" in numbers:
        return {"value": with_error(numbers["value"], numbers["stderr"])}
    return {name: f"{number:.2g}" for name, number in numbers.items()}
