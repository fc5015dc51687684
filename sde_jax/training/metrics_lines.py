"""The lines of ``metrics.jsonl``, each an object of numbers with a ``step``."""

from pathlib import Path
from typing import Any

from sde_jax.json_files import parse_json
from sde_jax.training.errors import RunError
from sde_jax.validation import LARGEST, LARGEST_INTEGER


def finished_lines(path: Path) -> list[bytes]:
    """Returns the lines of a file that end, without their ends."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def parse_line(line: bytes) -> dict[str, Any]:
    """Parses a line of the metrics file; returns an empty dict if it is damaged."""
    try:
        value = parse_json(line)
    except ValueError:
        return {}
    if not isinstance(value, dict) or type(value.get("step")) is not int:
        return {}
    numbers = value.values()
    good = all(type(number) in (int, float) and abs(number) <= LARGEST for number in numbers)
    return value if good and 0 <= value["step"] <= LARGEST_INTEGER else {}


def check_lines(path: Path) -> None:
    """Raises RunError for a line that no training wrote; a kill leaves zeros at the end."""
    lines = finished_lines(path)
    while lines and not lines[-1].strip(b"\0"):
        lines.pop()
    damaged = next((n for n, line in enumerate(lines, 1) if not parse_line(line)), None)
    if damaged is not None:
        raise RunError(
            f"{path} has a damaged line {damaged}: it must be an object of numbers with a `step`; "
            "delete the line to continue"
        )
