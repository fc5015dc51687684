"""The newest evaluations of several runs side by side: what can be compared, and what cannot."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sde_jax.atomic import whole_file
from sde_jax.evaluation.evaluation import RECORD
from sde_jax.evaluation.markdown import markdown_table
from sde_jax.evaluation.page import Cell, heading, paragraph, picture, table, write_page
from sde_jax.evaluation.reference import NOT_OF_THE_IMAGES
from sde_jax.evaluation.report import value_cell
from sde_jax.evaluation.wording import WORDING, with_error
from sde_jax.training.errors import NotARunError

__all__ = ["Row", "compare", "newest", "markdown", "rows_of"]

Record = Mapping[str, Any]

HOW = "likelihood."
"""Before the settings that a likelihood was measured by."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A number of every run."""

    metric: str
    features: str | None
    findings: tuple[Record | None, ...]
    """Of each run; None where it was not measured."""
    problems: tuple[str | None, ...]
    """Why the number of a run does not compare with that of the first run that has one."""


def newest(run: Path) -> Record:
    """The record of the evaluation of a run that finished last; a run may have been moved since.

    Raises:
      NotARunError: if there is none, or it cannot be read.
    """
    if not (run / "config.json").is_file():
        raise NotARunError(f"{run} holds no run: it has no config.json")
    paths = sorted((run / "evaluations").glob(f"*/{RECORD}"))
    if not paths:
        raise NotARunError(f"{run} has no evaluation yet: `evaluate {run}` makes one")
    try:
        records = [json.loads(path.read_text()) for path in paths]
        return {**max(records, key=lambda record: record["finished"]), "run": str(run)}
    except (ValueError, KeyError, TypeError):
        raise NotARunError(
            f"{run} has a damaged {RECORD}: `evaluate {run}` makes it again"
        ) from None


def rows_of(records: Sequence[Record]) -> list[Row]:
    """All numbers that any of the evaluations has."""
    networks = dict.fromkeys(f["features"] for record in records for f in record["findings"])
    rows = (row_of(records, metric, features) for features in networks for metric in WORDING)
    return [row for row in rows if any(row.findings)]


def row_of(records: Sequence[Record], metric: str, features: str | None) -> Row:
    """One number of every run, and what keeps it from being compared."""

    def of(record: Record) -> Record | None:
        wanted = (metric, features, "run")
        known = (f for f in record["findings"] if (f["metric"], f["features"], f["of"]) == wanted)
        return next(known, None)

    findings = tuple(of(record) for record in records)
    conditions = [conditions_of(r, f) for r, f in zip(records, findings, strict=True)]
    first = next((known for known in conditions if known is not None), {})
    problems = (None if known is None else difference(first, known) for known in conditions)
    return Row(metric=metric, features=features, findings=findings, problems=tuple(problems))


def conditions_of(record: Record, finding: Record | None) -> Mapping[str, Any] | None:
    """All that must be the same for a number to compare; None where there is no number."""
    if finding is None:
        return None
    conditions = {"counts": finding["counts"]}
    data = {
        f"data.{name}": value
        for name, value in record["data"].items()
        if name not in NOT_OF_THE_IMAGES
    }
    if finding["features"] is None:
        settings = record["likelihood"] or {}
        return conditions | data | {f"{HOW}{name}": value for name, value in settings.items()}
    return conditions | dict(record["reference"].get(finding["features"], data))


def difference(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first condition that differs, in words.

    An exact density has no settings, and compares with one that is had by any.
    """
    names = list({**first, **other})
    if not all(any(name.startswith(HOW) for name in each) for each in (first, other)):
        names = [name for name in names if not name.startswith(HOW)]
    for name in names:
        if first.get(name) != other.get(name):
            return f"not comparable: {name} is {other.get(name)}, not {first.get(name)}"
    return None


def compare(records: Sequence[Record], out: Path) -> dict[str, Any]:
    """Writes ``comparison.md``, ``.html`` and ``.png`` into the folder; returns what compares."""
    rows, names = rows_of(records), [record["run"] for record in records]
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "comparison.md") as file:
        file.write(("\n".join(markdown(records, rows)) + "\n").encode())
    draw(rows, names, out / "comparison.png")
    write_page(out / "comparison.html", "Comparison", body(records, rows, out / "comparison.png"))
    return {
        "out": str(out / "comparison.html"),
        "table": str(out / "comparison.md"),
        "runs": names,
        "rows": len(rows),
        "not_comparable": sum(problem is not None for row in rows for problem in row.problems),
    }


def title(row: Row) -> str:
    """What a row is called."""
    name = WORDING[row.metric].title
    return name if row.features is None else f"{name} ({row.features})"


def described(record: Record) -> str:
    """How the samples of an evaluation were drawn."""
    samples = record["samples"]
    sampling = record["sampling"]
    how = "" if sampling is None else f"{sampling['sampler']} with "
    step = f"{record['experiment']}, step {record['step']:,}"
    return f"{step}, {how}{samples['nfe']:,.1f} evaluations"


def markdown(records: Sequence[Record], rows: Sequence[Row]) -> Iterator[str]:
    """The lines of a table."""

    head = ["", *(record["run"] for record in records)]
    cells = ([title(row), *(text_of(*pair) for pair in pairs(row))] for row in rows)
    yield from markdown_table(head, [["evaluated", *map(described, records)], *cells])


def pairs(row: Row) -> list[tuple[Record | None, str | None]]:
    """The finding and the problem of each run."""
    return list(zip(row.findings, row.problems, strict=True))


def text_of(finding: Record | None, problem: str | None) -> str:
    """A cell in plain text."""
    if finding is None:
        return "not measured"
    return problem or with_error(finding["value"], finding["stderr"])


def body(records: Sequence[Record], rows: Sequence[Row], drawn: Path) -> Iterator[str]:
    """The fragments of the page."""

    def cell(finding: Record | None, problem: str | None) -> Cell:
        if finding is None or problem is not None:
            return Cell(text_of(finding, problem), kind="marked")
        return value_cell(finding)

    yield heading("Comparison", 1)
    yield paragraph(
        "The newest evaluation of each run. Numbers whose references, feature networks or counts "
        "are not those of the first run that has one are not shown.",
        "lead",
    )
    head: list[Cell | str] = ["", *(Cell(record["run"], described(record)) for record in records)]
    yield table(head, [[title(row), *(cell(*pair) for pair in pairs(row))] for row in rows])
    yield picture(drawn, "Comparison", "Values with their standard errors; only what compares.")


def draw(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """A panel for each row: the comparable values with their errors, a line for each run."""
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    size = (3.4 * columns, lines * (0.8 + 0.3 * len(names)))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel in panels[len(rows) :]:
        panel.set_visible(False)
    for panel, row in zip(panels, rows, strict=False):
        for place, (finding, problem) in enumerate(pairs(row)):
            if finding is not None and problem is None and finding["value"] is not None:
                error = finding["stderr"] or np.nan
                panel.errorbar(finding["value"], -place, xerr=error, fmt="o", color="#2f6db3", ms=4)
        panel.set(yticks=-np.arange(len(names)), ylim=(0.5 - len(names), 0.5))
        panel.set_yticklabels([Path(name).name for name in names], fontsize=8)
        panel.tick_params(axis="x", labelsize=8)
        panel.locator_params(axis="x", nbins=4)
        panel.set_title(title(row), fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=150)
