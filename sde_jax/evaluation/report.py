"""HTML pages, one file each: all text escaped, pictures embedded, nothing loaded."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from sde_jax.atomic import encoded, whole_file
from sde_jax.evaluation.wording import WORDING, notes, with_error

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


def write_page(path: Path, template: str, **values: Any) -> None:
    """Renders a template of the folder ``templates`` into a file atomically."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sde_jax.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"embedded": embedded, "with_error": with_error, "notes": notes}
    with whole_file(path) as file:
        file.write(encoded(environment.get_template(template).render(**values)))


def embedded(picture: Path) -> str:
    """Returns a PNG file as the source of an image."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
