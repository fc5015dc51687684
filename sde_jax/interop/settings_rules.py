"""Rules of the settings in JSON files of other programs; a problem names setting and value."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.json_files import read_json

Settings = Mapping[str, Any]
Rules = Mapping[str, tuple[bool, str]]
"""For each setting, whether its rule holds, and the rule."""
Permitted = Mapping[str, Sequence[Any]]
"""The supported values of settings."""
Type = tuple[Callable[[Any], bool], str]
Types = Mapping[str, Type]
"""For each setting, the function that tells whether a value is of its type, and the type."""


def read_settings(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
      CheckpointFileError: if the file contains none.
      OSError: if the file does not exist.
    """
    try:
        settings = read_json(path)
    except ValueError as error:
        raise CheckpointFileError(path, f"it is no JSON file: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointFileError(path, "it holds no JSON object")
    return settings


def broken_rules(settings: Settings, rules: Rules) -> list[str]:
    """Returns a problem for each setting whose rule does not hold."""
    return [
        f"`{field}` is {settings[field]!r}: supported is {what}"
        for field, (holds, what) in rules.items()
        if not holds
    ]


def choices(settings: Settings, permitted: Permitted) -> Rules:
    """Returns the rules that settings have permitted values."""
    return {
        field: (settings[field] in values, " or ".join(map(str, values)))
        for field, values in permitted.items()
    }


def of_types(settings: Settings, types: Types) -> Rules:
    """Returns the rules that settings are of their types."""
    return {field: (fits(settings[field]), what) for field, (fits, what) in types.items()}


def whole(most: int, *, least: int = 1, optional: bool = False) -> Type:
    """Returns the type of whole numbers of a range, and of None if it is ``optional``."""

    def fits(value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return (optional and value is None) or (is_whole and least <= value <= most)

    return fits, f"{'None or ' if optional else ''}a whole number from {least} to {most}"


def number(least: float, below: float) -> Type:
    """Returns the type of numbers of a range."""

    def fits(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and least <= value < below

    return fits, f"a number from {least:g} to below {below:g}"


TRUTH: Type = (lambda value: isinstance(value, bool), "true or false")
NAMES: Type = (
    lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "a list of names",
)
