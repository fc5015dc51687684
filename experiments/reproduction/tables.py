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

from experiments.reproduction.order import find_study, study_names
from experiments.reproduction.result import Result
from experiments.studies.reports import report_of
from sde_jax.atomic import whole_file
from sde_jax.evaluation import WORDING, markdown_table, with_error
from sde_jax.runs import find

BLOCK = re.compile(
    r"(<!-- (reproduced|findings|report): ([\w/ ]+) -->\n).*?(<!-- end -->)", re.DOTALL
)
SHOWN = (
    *("bits_per_dim", "bits_per_dim_bound", "nats", "frechet_distance", "precision", "recall"),
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
        return "\n".join([start, *table_of(kind, names.split(), known), "", end])

    return BLOCK.sub(filled, text)


def table_of(kind: str, names: Sequence[str], known: Mapping[str, Result]) -> Iterator[str]:
    """Yields the lines of one table of all experiments, or of a table of each name."""
    if kind == "reproduced" and names[0] not in study_names():
        yield from table_of_experiments({name: row_of(known.get(name)) for name in names})
        return
    for name in names:
        if name in known:
            yield from TABLES[kind](known[name])
        else:
            command = f"python -m experiments {name}" if kind == "reproduced" else name
            yield f"`{command}`: {NOT_YET}."


def study_table(result: Result) -> Iterator[str]:
    """Yields the table of a study and the line below it."""
    yield from find_study(result.name).table(result.results)
    yield ""
    yield (
        f"`{result.command}`, given the trained runs: {minutes(result.minutes)} minutes of "
        f"{result.computer}, commit {result.commit}."
    )


def report_table(result: Result) -> Iterator[str]:
    """Yields the table of an experiment's report."""
    report = report_of(find(result.name))
    if report is not None:
        yield from report.table(result.results["report"])


def findings_table(result: Result) -> Iterator[str]:
    """Yields a row for each metric, with columns for samples and held-out data in each network.

    The value expected of two sets of these sizes from one distribution is in brackets.
    """
    findings = result.results["findings"]
    columns = list(dict.fromkeys((f["features"], f["of"]) for f in findings if f["features"]))
    cells = {(f["metric"], f["features"] or columns[0][0], f["of"]): cell(f) for f in findings}
    metrics = {f["metric"] for f in findings}
    yield from markdown_table(
        ["", *(f"{features}: {'samples' if of == 'run' else of}" for features, of in columns)],
        (
            [WORDING[metric].title, *(cells.get((metric, *column), "") for column in columns)]
            for metric in WORDING
            if metric in metrics
        ),
    )


TABLES: Mapping[str, Callable[[Result], Iterator[str]]] = {
    "reproduced": study_table,
    "findings": findings_table,
    "report": report_table,
}


def cell(finding: Mapping[str, Any]) -> str:
    """Returns a value, its error, and the value expected of one distribution."""
    shown = with_error(finding["value"], finding["stderr"])
    expected = finding.get("expected")
    return shown if expected is None else f"{shown} ({expected:.3g})"


def table_of_experiments(rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yields a row for each experiment, without empty columns."""
    titles = [title for title in COLUMNS if any(title in row for row in rows.values())] or [""]
    shown = {name: row or {titles[0]: NOT_YET} for name, row in rows.items()}
    yield from markdown_table(
        ["experiment", *titles],
        ([f"`{name}`", *(row.get(t, "") for t in titles)] for name, row in shown.items()),
    )


COLUMNS = (
    "accuracy",
    *(WORDING[metric].title for metric in SHOWN),
    *("evaluations", "minutes of training", "minutes of its teacher", "computer", "commit"),
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
    if "teacher_minutes" in results:
        row["minutes of its teacher"] = minutes(results["teacher_minutes"])
    return row | {"computer": result.computer, "commit": result.commit}


def finding_of(results: Mapping[str, Any], metric: str) -> Mapping[str, Any] | None:
    """Returns the first finding of a metric of the run's samples."""
    findings = results.get("findings", ())
    return next((f for f in findings if f["metric"] == metric and f["of"] == "run"), None)


def minutes(value: float) -> str:
    """Formats minutes."""
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"
