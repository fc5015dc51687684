"""A comparison of the newest evaluations of several runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sde_jax.atomic import encoded, whole_file
from sde_jax.evaluation.evaluation import RECORD
from sde_jax.evaluation.findings import Subject
from sde_jax.evaluation.reference import NOT_OF_THE_IMAGES
from sde_jax.evaluation.report import write_page
from sde_jax.evaluation.wording import WORDING, markdown_table, with_error
from sde_jax.figures import COLOURS, literal, save_figure
from sde_jax.json_files import DamagedFileError, read_json
from sde_jax.recipes.serialization import ConfigurationError, check_type
from sde_jax.training import NotARunError
from sde_jax.validation import LARGEST

Record = Mapping[str, Any]

HOW = "likelihood."
"""Prefix of the settings of a likelihood."""


RECORD_FIELDS: Mapping[str, Any] = {
    "finished": str,
    "experiment": str,
    "step": int,
    "samples": dict,
    "sampling": dict | None,
    "likelihood": dict | None,
    "data": dict,
    "reference": dict[str, dict],
    "findings": list,
}
FINDING_FIELDS: Mapping[str, Any] = {
    "metric": str,
    "features": str | None,
    "of": Subject,
    "value": float | None,
    "stderr": float | None,
    "counts": list[int | None],
}
"""The fields of a record and of its findings that are compared."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of every run."""

    metric: str
    features: str | None
    cells: tuple[tuple[Record | None, str | None], ...]
    """The finding of each run, None where it was not measured, and the reason why it does not
    compare with that of the first run that has one."""

    @property
    def title(self) -> str:
        """The name of the number."""
        name = WORDING[self.metric].title
        return name if self.features is None else f"{name} ({self.features})"


def newest(run: Path) -> Record:
    """Reads the record of the last evaluation of a run, with the run's present path.

    Raises:
      NotARunError: if there is no record, or it is damaged.
    """
    if not (run / "config.json").is_file():
        raise NotARunError(f"{run} holds no run: it has no config.json")
    paths = sorted((run / "evaluations").glob(f"*/{RECORD}"))
    if not paths:
        raise NotARunError(f"{run} has no evaluation yet: `evaluate {run}` makes one")
    try:
        records = [read_record(path) for path in paths]
    except ValueError as error:
        raise NotARunError(f"{error}; `evaluate {run}` makes a new one") from None
    return {**max(records, key=lambda record: record["finished"]), "run": str(run)}


def read_record(path: Path) -> Record:
    """Reads a record.

    Raises:
      DamagedFileError: if it lacks a field that is compared, or one is of another type.
    """
    record = read_json(path)
    check_fields(record, RECORD_FIELDS, path)
    check_fields(record["samples"], {"nfe": float}, path, "samples.")
    if record["sampling"] is not None:
        check_fields(record["sampling"], {"sampler": str}, path, "sampling.")
    for place, finding in enumerate(record["findings"]):
        check_fields(finding, FINDING_FIELDS, path, f"findings.{place}.")
        expected = {"expected": finding.get("expected")}
        check_fields(expected, {"expected": float | None}, path, f"findings.{place}.")
    return record


def check_fields(record: Any, fields: Mapping[str, Any], path: Path, prefix: str = "") -> None:
    """Raises DamagedFileError unless an object in a file has fields of these types."""
    for name, hint in fields.items():
        if not isinstance(record, Mapping) or name not in record:
            raise DamagedFileError(f"{path} is damaged: it lacks `{prefix}{name}`")
        try:
            check_type(record[name], hint, f"{prefix}{name}")
            if isinstance(record[name], int | float) and not abs(record[name]) <= LARGEST:
                raise ConfigurationError(f"`{prefix}{name}` must be finite in 32 bits")
        except ConfigurationError as error:
            raise DamagedFileError(f"{path} is damaged: {error}") from None


def rows_of(records: Sequence[Record]) -> list[Row]:
    """Returns a row for each number that any of the evaluations has.

    Raises:
      ValueError: if none has any.
    """
    networks = dict.fromkeys(f["features"] for record in records for f in record["findings"])
    rows = (row_of(records, metric, features) for features in networks for metric in WORDING)
    found = [row for row in rows if any(finding for finding, _ in row.cells)]
    if not found:
        names = ", ".join(record["run"] for record in records)
        raise ValueError(f"the evaluations of {names} have no findings to compare.")
    return found


def row_of(records: Sequence[Record], metric: str, features: str | None) -> Row:
    """Returns one number of every run."""

    def of(record: Record) -> Record | None:
        wanted = (metric, features, "run")
        known = (f for f in record["findings"] if (f["metric"], f["features"], f["of"]) == wanted)
        return next(known, None)

    findings = [of(record) for record in records]
    conditions = [conditions_of(r, f) for r, f in zip(records, findings, strict=True)]
    first = next((known for known in conditions if known is not None), {})
    problems = [None if known is None else difference(first, known) for known in conditions]
    cells = tuple(zip(findings, problems, strict=True))
    return Row(metric=metric, features=features, cells=cells)


def conditions_of(record: Record, finding: Record | None) -> Mapping[str, Any] | None:
    """Returns the conditions that comparable numbers share; None where there is no number."""
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
    """Returns the first condition that differs, as a message.

    An exact density has no settings and compares with densities of any settings.
    """
    names = list({**first, **other})
    if not all(any(name.startswith(HOW) for name in each) for each in (first, other)):
        names = [name for name in names if not name.startswith(HOW)]
    for name in names:
        if first.get(name) != other.get(name):
            return f"not comparable: {name} is {other.get(name)}, not {first.get(name)}"
    return None


def compare(records: Sequence[Record], out: Path) -> dict[str, Any]:
    """Writes ``comparison.md``, ``.html`` and ``.png`` into a folder and returns a summary."""
    rows, names = rows_of(records), [record["run"] for record in records]
    page, table, figure = (out / f"comparison.{suffix}" for suffix in ("html", "md", "png"))
    with whole_file(table) as file:
        file.write(encoded("\n".join(markdown(records, rows)) + "\n"))
    panels = {
        row.title: [finding if problem is None else None for finding, problem in row.cells]
        for row in rows
    }
    draw_values(panels, [Path(name).name for name in names], figure)
    runs = list(zip(names, map(described, records), strict=True))
    write_page(page, "comparison.html", title="Comparison", runs=runs, rows=rows, figure=figure)
    return {
        "out": str(page),
        "table": str(table),
        "runs": names,
        "rows": len(rows),
        "not_comparable": sum(problem is not None for row in rows for _, problem in row.cells),
    }


def described(record: Record) -> str:
    """Returns the step and the sampler of an evaluation as text."""
    samples, sampling = record["samples"], record["sampling"]
    sampler = "" if sampling is None else f"{sampling['sampler']} with "
    if sampling is not None and "compute_dtype" in sampling:
        sampler = f"{sampling['sampler']} in {sampling['compute_dtype']} with "
    step = f"{record['experiment']}, step {record['step']:,}"
    return f"{step}, {sampler}{samples['nfe']:,.1f} evaluations"


def markdown(records: Sequence[Record], rows: Sequence[Row]) -> Iterator[str]:
    """Yields the lines of a table."""
    head = ["", *(record["run"] for record in records)]
    body = ([row.title, *(text_of(*cell) for cell in row.cells)] for row in rows)
    yield from markdown_table(head, [["evaluated", *map(described, records)], *body])


def text_of(finding: Record | None, problem: str | None) -> str:
    """Returns a cell as plain text."""
    if finding is None:
        return "not measured"
    return problem or with_error(finding["value"], finding["stderr"])


def draw_values(
    panels: Mapping[str, Sequence[Record | None]],
    names: Sequence[str],
    path: Path,
    *,
    known: Mapping[str, Record | None] | None = None,
) -> None:
    """Draws findings with their standard errors.

    Args:
      panels: for the title of each panel, the finding of each name; None leaves it out.
      names: the names of the lines of a panel.
      path: the .png file.
      known: findings of held-out data, by the panel's title; they are dashed lines.
    """
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    size = (3.0 * columns + 1.2, lines * (0.8 + 0.3 * len(names)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, findings) in zip(grid, panels.items(), strict=False):
        for place, finding in enumerate(findings):
            if finding is not None and finding["value"] is not None:
                error = finding["stderr"] or np.nan
                axes.errorbar(finding["value"], place, xerr=error, fmt="o", color=COLOURS[0], ms=4)
        held_out = (known or {}).get(title)
        if held_out is not None:
            line = {"color": COLOURS[1], "lw": 1.2, "ls": "--", "label": "held-out data"}
            axes.axvline(held_out["value"], **line)
            axes.legend(frameon=False, fontsize=7, loc="best")
        axes.set(yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5))
        axes.set_yticklabels(map(literal, names), fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(title, fontsize=9)
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
