"""Checks the fields of a spec from a file against their annotations."""

import math
import typing
from typing import Any, Literal

__all__ = ["typed_fields"]


def typed_fields(spec: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass by name, each of the type of its annotation.

    Lists become tuples, and integers become floats, where the annotation asks for them.

    Raises:
      ValueError: for any other value.
    """
    hints = typing.get_type_hints(type(spec))
    return {field: typed(field, getattr(spec, field), hint) for field, hint in hints.items()}


def typed(field: str, value: Any, hint: Any) -> Any:
    """Returns ``value`` as a ``Literal``, bool, int, float, string, None or integer tuple."""
    choices = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        fits, rule = value in choices, f"be {' or '.join(map(repr, choices))}"
    elif hint == tuple[int, ...]:
        fits, rule = isinstance(value, list | tuple) and all(map(is_whole, value)), "be integers"
        value = tuple(value) if fits else value
    elif hint is float:
        fits, rule = is_number(value) and math.isfinite(value), "be a finite number"
        value = float(value) if fits else value
    elif hint is int:
        fits, rule = is_whole(value), "be an integer"
    elif hint is bool:
        fits, rule = isinstance(value, bool), "be true or false"
    else:
        fits, rule = isinstance(value, hint), "be text"
    if not fits:
        raise ValueError(f"`{field}` must {rule}: got {field}={value!r}")
    return value


def is_whole(value: Any) -> bool:
    """Returns whether it is an integer and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Returns whether it is an integer or a float and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)
