"""The report of an evaluation: its record as an HTML page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sde_jax.evaluation.page import write_page
from sde_jax.evaluation.wording import WORDING

Record = Mapping[str, Any]

SECTIONS = {
    "classifier": "Classifier features",
    "inception": "Inception features",
    "coordinates": "Data coordinates",
    None: "Likelihood",
}
SUBJECTS = {"run": "samples", "held-out data": "held-out data"}


def write_report(record: Record, folder: Path, out: Path) -> None:
    """Writes the page of a record whose pictures are in ``folder``."""
    settings = {name: value for name, value in record.items() if name != "findings"}
    write_page(
        out,
        "report.html",
        title=f"{record['experiment']}, evaluated",
        record=record,
        folder=folder,
        sections=list(sections_of(record)),
        settings=json.dumps(settings, indent=2),
        findings=json.dumps(record["findings"], indent=2),
    )


def sections_of(record: Record) -> Iterator[dict[str, Any]]:
    """Yields a section for each feature network, and one for the likelihood."""
    for features, title in SECTIONS.items():
        found = {
            (finding["metric"], finding["of"]): finding
            for finding in record["findings"]
            if finding["features"] == features
        }
        missing = record["missing"].get(features)
        subjects = [name for name in SUBJECTS if any(of == name for _, of in found)]
        rows = [
            (wording, [found.get((metric, subject)) for subject in subjects])
            for metric, wording in WORDING.items()
            if any((metric, subject) in found for subject in subjects)
        ]
        if found or missing:
            yield {
                "title": title,
                "missing": missing,
                "reference": record["reference"].get(features, {}),
                "subjects": [SUBJECTS[name] for name in subjects] if features else [""],
                "rows": rows,
                "labels": found.get(("label_distance", "run")),
            }
