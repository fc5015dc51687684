"""An evaluation's record as a page that opens without a server."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sde_jax.evaluation.page import (
    Cell,
    bar,
    heading,
    paragraph,
    picture,
    source,
    table,
    write_page,
)
from sde_jax.evaluation.wording import WORDING, with_error

__all__ = ["value_cell", "write_report"]

Record = Mapping[str, Any]

SECTIONS = {
    "classifier": "In features of the project's classifier",
    "inception": "In features of Inception",
    "coordinates": "In the data's own coordinates",
    None: "Likelihood",
}
SUBJECTS = {"run": "samples", "held-out data": "held-out data"}


def write_report(record: Record, folder: Path, out: Path) -> None:
    """Writes the page of a record, with the pictures that it names in ``folder``."""
    name = record["experiment"]
    write_page(out, f"{name}, evaluated", [*body(record, folder)])


def body(record: Record, folder: Path) -> Iterator[str]:
    """The fragments of the page."""
    yield heading(record["experiment"], 1)
    yield paragraph(lead(record), "lead")
    first, *others = record["pictures"]
    yield picture(folder / first["file"], first["title"], first["caption"])
    for features in SECTIONS:
        found = [finding for finding in record["findings"] if finding["features"] == features]
        if found:
            yield from section(features, found, record)
    for name, how in record["missing"].items():
        yield heading(SECTIONS[name])
        yield paragraph(f"Not measured: {how}")
    for shown in others:
        yield heading(shown["title"])
        yield picture(folder / shown["file"], shown["title"], shown["caption"])
    yield from provenance(record)


def lead(record: Record) -> str:
    """What was evaluated, in a sentence."""
    samples, sampling = record["samples"], record["sampling"]
    how = "" if sampling is None else f" by the sampler “{sampling['sampler']}”"
    failed = len(samples["failed"])
    return (
        f"Training step {record['step']:,}. {samples['count']:,} samples{how} "
        f"with {samples['nfe']:,.1f} network evaluations each, seed "
        f"{record['seed']}; {failed or 'none'} failed."
    )


def section(features: str | None, found: Sequence[Record], record: Record) -> Iterator[str]:
    """The findings under one feature network, or those without."""
    yield heading(SECTIONS[features])
    if features in record["reference"]:
        yield paragraph(compared(record["reference"][features]), "note")
    subjects = [name for name in SUBJECTS if any(f["of"] == name for f in found)]
    columns = ["", *(SUBJECTS[subject] for subject in subjects)] if features else ["", ""]
    rows: list[list[Cell | str]] = []
    for metric, wording in WORDING.items():
        cells = {f["of"]: value_cell(f) for f in found if f["metric"] == metric}
        if cells:
            name = Cell(wording.title, wording.meaning)
            rows.append([name, *(cells.get(subject, "") for subject in subjects)])
    yield table(columns, rows)
    for finding in found:
        if "shares" in finding and finding["of"] == "run":
            yield from label_table(finding)


def compared(reference: Record) -> str:
    """What the samples are compared with."""
    if "published" in reference:
        return f"Compared with published statistics ({reference['published']})."
    return (
        f"Compared with {reference['count']:,} examples of the split “{reference['split']}”. "
        "Held-out data are, too, in their own number: so far are real data from these. Errors are "
        "standard errors."
    )


def value_cell(finding: Record) -> Cell:
    """A number with its error, its bias if it has one, and how many images it is of."""
    counts = " and ".join("unknown" if n is None else f"{n:,}" for n in finding["counts"])
    notes = [f"{counts} images"]
    if finding["expected"] is not None:
        notes.insert(0, f"{finding['expected']:.3g} expected of one distribution")
    if finding.get("z") is not None:
        notes.append(f"z = {finding['z']:.1f}, p = {finding['p_value']:.2g}")
    if finding.get("rank_deficient"):
        ranks = " and ".join(map(str, finding["ranks"]))
        notes.append(f"ranks {ranks} of {finding['dimension']}")
    if finding.get("failed"):
        notes.append(f"{len(finding['failed'])} failed")
    return Cell(with_error(finding["value"], finding["stderr"]), "; ".join(notes))


def label_table(finding: Record) -> Iterator[str]:
    """The labels predicted of samples beside those of the data."""
    shares, real = finding["shares"], finding["real_shares"]
    widest = max(*shares, *real)
    rows: list[list[Cell | str]] = [
        [
            str(label),
            Cell(f"{share:.1%}", before=bar(share / widest)),
            Cell(f"{of_data:.1%}", before=bar(of_data / widest, "data")),
        ]
        for label, (share, of_data) in enumerate(zip(shares, real, strict=True))
    ]
    yield table(["label", "samples", "training data"], rows)


def provenance(record: Record) -> Iterator[str]:
    """All that the numbers hang on."""
    versions, seconds = record["versions"], record["seconds"]
    git = versions["git"] or {"revision": "unknown", "dirty": False}
    rows = [
        ("Run", record["run"]),
        ("Weights", f"step {record['step']:,}, checksum {record['weights']}"),
        ("Code", git["revision"] + (", with changes" if git["dirty"] else "")),
        ("Device", f"{versions['devices']} x {versions['device']}"),
        ("Wall time", ", ".join(f"{part} {time:,.1f} s" for part, time in seconds.items())),
        ("Finished", record["finished"]),
    ]
    yield heading("What made these numbers")
    yield table(["", ""], [[name, Cell(value, kind="text")] for name, value in rows])
    whole = {name: value for name, value in record.items() if name != "findings"}
    yield source("All settings, hashes and versions", json.dumps(whole, indent=2))
    yield source("All findings", json.dumps(record["findings"], indent=2))
