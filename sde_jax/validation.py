"""Checks of the fields of specs; a failure names the field, the rule and the value."""

import dataclasses
from typing import Any, Literal, get_args, get_origin


def require(spec: Any, fields: str, holds: bool, rule: str) -> None:
    """Raises an error such as "`steps` must be at least 1: got steps=0." unless a rule holds.

    Args:
      spec: the object with the fields.
      fields: names with blanks between: the field, then others whose values the message shows.
      holds: whether the rule holds.
      rule: the rule, such as "be at least 1".

    Raises:
      ValueError: if ``holds`` is false.
    """
    if not holds:
        names = fields.split()
        values = ", ".join(f"{name}={getattr(spec, name)!r}" for name in names)
        raise ValueError(f"`{names[0]}` must {rule}: got {values}.")


def require_at_least(spec: Any, **least: int) -> None:
    """Raises `ValueError` for the first field below its least value; None passes."""
    for field, bound in least.items():
        value = getattr(spec, field)
        require(spec, field, value is None or value >= bound, f"be at least {bound}")


def require_positive(spec: Any, *fields: str) -> None:
    """Raises `ValueError` for the first field that is not positive, NaN included."""
    for field in fields:
        require(spec, field, getattr(spec, field) > 0, "be positive")


def require_choices(spec: Any) -> None:
    """Raises `ValueError` unless each `Literal` field of a dataclass has one of its values."""
    for field in dataclasses.fields(spec):
        if get_origin(field.type) is Literal:
            choices = get_args(field.type)
            rule = f"be one of {', '.join(map(str, choices))}"
            require(spec, field.name, getattr(spec, field.name) in choices, rule)
