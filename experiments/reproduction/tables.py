"""The tables of a page, between markers, from what was found.

A table stands between the lines ``<!-- reproduced: NAME ... -->`` and ``<!-- end -->``: of one
study, or with a row for each of several experiments. After ``<!-- findings: NAME -->`` it holds all
that the evaluation of an experiment found, and after ``<!-- report: NAME -->`` its own report.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.reproduction.course import find_study, study_names
from experiments.reproduction.details import findings_table, report_table
from experiments.reproduction.found import Found
from sde_jax.atomic import whole_file
from sde_jax.evaluation.markdown import markdown_table
from sde_jax.evaluation.wording import WORDING, with_error

__all__ = ["read_results", "rewrite_tables", "with_tables"]

BLOCK = re.compile(
    r"(<!-- (reproduced|findings|report): ([\w/ ]+) -->\n).*?(<!-- end -->)", re.DOTALL
)
SHOWN = (
    *("bits_per_dim", "bits_per_dim_bound", "frechet_distance", "precision", "recall"),
    *("mean_max_logit", "unsure_share", "label_distance"),
)
"""Findings that are columns; in features of the first network that has them."""
NOT_YET = "not yet run"


def rewrite_tables(out: Path) -> None:
    """Rewrites the tables of ``out/README.md``, if it is there, from ``out/results``."""
    page = out / "README.md"
    if not page.is_file():
        return
    text = with_tables(page.read_text(encoding="utf-8"), read_results(out))
    with whole_file(page) as file:
        file.write(text.encode())


def read_results(out: Path) -> dict[str, Found]:
    """What is stored in ``out/results``, by name.

    Raises:
      RunError: if a file is damaged.
    """
    return {path.stem: Found.read(path) for path in sorted((out / "results").glob("*.json"))}


def with_tables(text: str, known: Mapping[str, Found]) -> str:
    """The page with the tables of what is known; of the other names it says so."""

    def filled(match: re.Match[str]) -> str:
        start, kind, names, end = match.groups()
        if kind == "reproduced":
            lines = table_of(names.split(), known)
        else:
            lines = details_of(names.split(), known, DETAILS[kind])
        return "\n".join([start, *lines, "", end])

    return BLOCK.sub(filled, text)


def table_of(names: Sequence[str], known: Mapping[str, Found]) -> Iterator[str]:
    """The lines between two markers."""
    for name in names:
        if name not in study_names():
            continue
        if name not in known:
            yield f"`python -m experiments {name}`: {NOT_YET}."
            continue
        found = known[name]
        yield from find_study(name).table(found.results)
        yield ""
        yield caption(found)
    rows = {name: row_of(known.get(name)) for name in names if name not in study_names()}
    if rows:
        yield from table_of_rows(rows)


DETAILS: Mapping[str, Callable[[Found], Iterator[str]]] = {
    "findings": findings_table,
    "report": report_table,
}


def details_of(
    names: Sequence[str], known: Mapping[str, Found], table: Callable[[Found], Iterator[str]]
) -> Iterator[str]:
    """The lines between two markers that show more of a run than a row."""
    for name in names:
        if name in known:
            yield from table(known[name])
        else:
            yield f"`{name}`: {NOT_YET}."


def caption(found: Found) -> str:
    """The line below the table of a study."""
    return (
        f"`{found.command}`, its runs being there: {minutes(found.minutes)} minutes of "
        f"{found.computer}, commit {found.commit}."
    )


def table_of_rows(rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A row for each experiment; columns that none has are left out."""
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
    *("evaluations", "minutes of training", "on", "commit"),
)


def row_of(found: Found | None) -> dict[str, str]:
    """The cells of an experiment, by the columns' titles; none if it was not found."""
    if found is None:
        return {}
    results, row = found.results, {}
    accuracy = results.get("report", {}).get("accuracy")
    if accuracy is not None:
        row["accuracy"] = with_error(accuracy, results["report"]["stderr"])
    for metric in SHOWN:
        finding = finding_of(results, metric)
        if finding is not None:
            row[WORDING[metric].title] = with_error(finding["value"], finding["stderr"])
    if "samples" in results:
        row["evaluations"] = f"{results['samples']['nfe']:,.0f}"
    row["minutes of training"] = minutes(found.minutes)
    return row | {"on": found.computer, "commit": found.commit}


def finding_of(results: Mapping[str, Any], metric: str) -> Mapping[str, Any] | None:
    """The first finding of that metric of the run's samples."""
    findings = results.get("findings", ())
    return next((f for f in findings if f["metric"] == metric and f["of"] == "run"), None)


def minutes(value: float) -> str:
    """Minutes in words."""
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"
