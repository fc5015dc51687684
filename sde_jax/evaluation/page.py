"""HTML pages that are one file each: all text escaped, pictures embedded, nothing loaded."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from sde_jax.atomic import whole_file
from sde_jax.evaluation.wording import notes, with_error


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
        file.write(environment.get_template(template).render(**values).encode())


def embedded(picture: Path) -> str:
    """Returns a PNG file as the source of an image."""
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
