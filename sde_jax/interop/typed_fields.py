"""Checks values from a file against the annotations of fields."""

import math
import typing
from typing import Any

import typeguard

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
    items = given if isinstance(given, tuple) else (given,)
    everything = typeguard.CollectionCheckStrategy.ALL_ITEMS
    try:
        typeguard.check_type(given, hint, collection_check_strategy=everything)
        fits = all(isinstance(item, bool) == (hint is bool) for item in items)
        fits = fits and (hint is not float or math.isfinite(given))
    except typeguard.TypeCheckError:
        fits = False
    if not fits:
        rule = TYPES.get(hint) or " or ".join(map(repr, typing.get_args(hint)))
        raise ValueError(f"`{field}` must be {rule}: got {field}={value!r}")
    return float(given) if hint is float else given
