"""Texts in one line."""

from collections.abc import Sequence

LIMIT = 200


def first_line(text: str) -> str:
    """Returns the first line of ``text``; the middle of a long line is elided."""
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= LIMIT else f"{line[: LIMIT // 2]} ... {line[-LIMIT // 2 :]}"


def listed(items: Sequence[object], *, separator: str = "; ", limit: int = 20) -> str:
    """Joins the items, or the first of many."""
    shown = separator.join(map(str, items[:limit]))
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
