"""Renders the tables of a page from results.

A table lies between two markers. The second is ``<!-- end -->``. The first says what is shown::

    <!-- reproduced: NAME ... -->   the table of a study, or a row for each of the experiments
    <!-- findings: NAME -->         all findings of the evaluation of an experiment
    <!-- report: NAME -->           the report of an experiment
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.reproduction.details import findings_table
from experiments.reproduction.order import find_study, study_names
from experiments.reproduction.result import Result
from experiments.studies.reports import report_of
from sde_jax.atomic import whole_file
from sde_jax.evaluation.markdown import markdown_table
from sde_jax.evaluation.wording import WORDING, with_error
from sde_jax.runs.catalogue import find

__all__ = ["read_results", "rewrite_tables", "with_tables"]

BLOCK = re.compile(
    r"(<!-- (reproduced|findings|report): ([\w/ ]+) -->\n).*?(<!-- end -->)", re.DOTALL
)
SHOWN = (
    *("bits_per_dim", "bits_per_dim_bound", "frechet_distance", "precision", "recall"),
    *("mean_max_logit", "unsure_share", "label_distance"),
)
"""Findings that are columns, in the features of the first network that has them."""
NOT_YET = "not yet run"


def rewrite_tables(out: Path) -> None:
    """Rewrites the tables of ``out/README.md``, if it exists, from ``out/results``."""
    page = out / "README.md"
    if not page.is_file():
        return
    text = with_tables(page.read_text(encoding="utf-8"), read_results(out))
    with whole_file(page) as file:
        file.write(text.encode())


def read_results(out: Path) -> dict[str, Result]:
    """Returns the results in ``out/results``, by name.

    Raises:
      RunError: if a file is damaged.
    """
    return {path.stem: Result.read(path) for path in sorted((out / "results").glob("*.json"))}


def with_tables(text: str, known: Mapping[str, Result]) -> str:
    """Returns the page with the tables of the known results; others are marked as not yet run."""

    def filled(match: re.Match[str]) -> str:
        start, kind, names, end = match.groups()
        if kind == "reproduced":
            lines = table_of(names.split(), known)
        else:
            lines = details_of(names.split(), known, DETAILS[kind])
        return "\n".join([start, *lines, "", end])

    return BLOCK.sub(filled, text)


def table_of(names: Sequence[str], known: Mapping[str, Result]) -> Iterator[str]:
    """Yields the lines of the table of each study, and of one table of all experiments."""
    studies = [name for name in study_names() if name in names]
    for name in names:
        if name not in studies:
            continue
        if name not in known:
            yield f"`python -m experiments {name}`: {NOT_YET}."
            continue
        yield from find_study(name).table(known[name].results)
        yield ""
        yield caption(known[name])
    rows = {name: row_of(known.get(name)) for name in names if name not in studies}
    if rows:
        yield from table_of_rows(rows)


def report_table(result: Result) -> Iterator[str]:
    """Yields the table of an experiment's report."""
    report = report_of(find(result.name))
    if report is not None:
        yield from report.table(result.results["report"])


DETAILS: Mapping[str, Callable[[Result], Iterator[str]]] = {
    "findings": findings_table,
    "report": report_table,
}


def details_of(
    names: Sequence[str], known: Mapping[str, Result], table: Callable[[Result], Iterator[str]]
) -> Iterator[str]:
    """Yields the lines of the tables of findings or of reports."""
    for name in names:
        if name in known:
            yield from table(known[name])
        else:
            yield f"`{name}`: {NOT_YET}."


def caption(result: Result) -> str:
    """Returns the line below the table of a study."""
    return (
        f"`{result.command}`, given the trained runs: {minutes(result.minutes)} minutes of "
        f"{result.computer}, commit {result.commit}."
    )


def table_of_rows(rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yields a row for each experiment, without empty columns."""
    titles = [title for title in COLUMNS if any(title in row for row in rows.values())] or [""]

    def cells(row: Mapping[str, str]) -> list[str]:
        if not row:
            return [NOT_YET, *[""] * (len(titles) - 1)]
        return [row.get(title, "") for title in titles]

    yield from markdown_table(
        ["experiment", *titles], ([f"`{name}`", *cells(row)] for name, row in rows.items())
    )


COLUMNS = (
    "accuracy",
    *(WORDING[metric].title for metric in SHOWN),
    *("evaluations", "minutes of training", "computer", "commit"),
)


def row_of(result: Result | None) -> dict[str, str]:
    """Returns the cells of an experiment by column title; empty without a result."""
    if result is None:
        return {}
    results, row = result.results, {}
    accuracy = results.get("report", {}).get("accuracy")
    if accuracy is not None:
        row["accuracy"] = with_error(accuracy, results["report"]["stderr"])
    for metric in SHOWN:
        finding = finding_of(results, metric)
        if finding is not None:
            row[WORDING[metric].title] = with_error(finding["value"], finding["stderr"])
    if "samples" in results:
        row["evaluations"] = f"{results['samples']['nfe']:,.0f}"
    row["minutes of training"] = minutes(result.minutes)
    return row | {"computer": result.computer, "commit": result.commit}


def finding_of(results: Mapping[str, Any], metric: str) -> Mapping[str, Any] | None:
    """Returns the first finding of a metric of the run's samples."""
    findings = results.get("findings", ())
    return next((f for f in findings if f["metric"] == metric and f["of"] == "run"), None)


def minutes(value: float) -> str:
    """Formats minutes."""
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"
