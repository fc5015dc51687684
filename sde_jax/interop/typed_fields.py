"""Checks values from a file against the annotations of fields."""

import math
import typing
from typing import Any

from sde_jax.validation import fits, shown

TYPES = {
    bool: "true or false",
    int: "an integer",
    float: "a finite number",
    tuple[int, ...]: "integers",
    str | None: "text",
    str: "text",
}
"""Descriptions of types, without those of choices."""


def typed(field: str, value: Any, hint: Any) -> Any:
    """Returns a value of type ``hint``; lists become tuples, and integers floats, as it asks.

    Raises:
      ValueError: for any other value.
    """
    given: Any = tuple(value) if isinstance(value, list) else value
    try:
        given = float(given) if hint is float and fits(given, hint) else given
    except OverflowError:
        given = math.inf
    if not fits(given, hint) or (hint is float and not math.isfinite(given)):
        rule = TYPES.get(hint) or " or ".join(map(repr, typing.get_args(hint)))
        raise ValueError(f"`{field}` must be {rule}: got {field}={shown(value)}")
    return given
