"""Pages that are one file: text escaped, pictures inside, nothing fetched."""

import base64
import html
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sde_jax.atomic import whole_file

__all__ = [
    "Cell",
    "bar",
    "heading",
    "page",
    "paragraph",
    "picture",
    "source",
    "table",
    "write_page",
]

TEMPLATE = Path(__file__).with_name("page.html")
WIDEST_BAR = 12
"""In rem."""


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    note: str = ""
    """Small, below the text."""
    kind: str = ""
    """text: may break into lines; marked: says why there is no number."""
    before: str = ""
    """HTML in front of the text."""


def page(title: str, body: Iterable[str]) -> str:
    """The page of these fragments."""
    template = string.Template(TEMPLATE.read_text())
    return template.substitute(title=html.escape(title), body="\n".join(body))


def write_page(path: Path, title: str, body: Iterable[str]) -> None:
    """Writes a page, whole or not at all."""
    with whole_file(path) as file:
        file.write(page(title, body).encode())


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; ``kind`` is lead or note."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def table(head: Sequence[Cell | str], rows: Iterable[Sequence[Cell | str]]) -> str:
    """A table, whose first column names the rows; it scrolls where it is too wide."""
    first = "".join(f'<th scope="col">{_content(cell)}</th>' for cell in head)
    lines = [f"<thead><tr>{first}</tr></thead>", "<tbody>"]
    for name, *cells in rows:
        others = "".join(_data(cell) for cell in cells)
        lines.append(f'<tr><th scope="row">{_content(name)}</th>{others}</tr>')
    return "\n".join(['<div class="scroll"><table>', *lines, "</tbody></table></div>"])


def bar(share: float, kind: str = "") -> str:
    """A bar of that share of the widest; ``kind`` is data for a paler one."""
    width = WIDEST_BAR * min(max(share, 0), 1)
    return f'<span class="bar {kind}" style="width: {width:.2f}rem"></span>'


def picture(path: Path, title: str, caption: str) -> str:
    """A PNG file, inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def source(title: str, text: str) -> str:
    """Preformatted text that opens when it is asked for."""
    return (
        f"<details><summary>{html.escape(title)}</summary><pre>{html.escape(text)}</pre></details>"
    )


def _data(cell: Cell | str) -> str:
    kind = cell.kind if isinstance(cell, Cell) else ""
    return f'<td class="{kind}">{_content(cell)}</td>' if kind else f"<td>{_content(cell)}</td>"


def _content(cell: Cell | str) -> str:
    cell = Cell(cell) if isinstance(cell, str) else cell
    note = f"<small>{html.escape(cell.note)}</small>" if cell.note else ""
    return f"{cell.before}{html.escape(cell.text)}{note}"
