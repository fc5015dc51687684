"""Rules of the fields of specs; a failure names the field, the rule and the value."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin


@dataclass(frozen=True)
class Rule:
    """A rule of a field, stated in its type: ``steps: Annotated[int, at_least(1)]``."""

    text: str
    """The rule in words, such as "be at least 1"."""
    holds: Callable[[Any], bool]
    """Whether a value fulfills the rule; None is not checked."""


def at_least(least: float) -> Rule:
    """Returns the rule of a field that has a least value; NaN breaks it."""
    return Rule(f"be at least {least}", lambda value: value >= least)


NOT_NEGATIVE = Rule("not be negative", lambda value: value >= 0)
POSITIVE = Rule("be positive", lambda value: value > 0)
FINITE = Rule("be positive and finite", lambda value: 0 < value < math.inf)
Positive = Annotated[float, POSITIVE]
PositiveInt = Annotated[int, POSITIVE]
NotNegative = Annotated[float, NOT_NEGATIVE]
NotNegativeInt = Annotated[int, NOT_NEGATIVE]
UnitInterval = Annotated[float, Rule("be in [0, 1]", lambda value: 0 <= value <= 1)]
BelowOne = Annotated[float, Rule("be in [0, 1)", lambda value: 0 <= value < 1)]
AboveZero = Annotated[float, Rule("be in (0, 1]", lambda value: 0 < value <= 1)]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A frozen dataclass that checks the rules of its fields.

    Raises:
      ValueError: if a field breaks a `Rule` of its type, or has no value of its `Literal`.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, arguments = getattr(self, field.name), get_args(field.type)
            if get_origin(field.type) is Literal:
                rule = f"be one of {', '.join(map(str, arguments))}"
                require(self, field.name, value in arguments, rule)
            for part in arguments:
                if isinstance(part, Rule):
                    require(self, field.name, value is None or part.holds(value), part.text)


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


def require_order(spec: Any, first: str, second: str, larger: str) -> None:
    """Raises `ValueError` unless the field ``larger`` of two fields exceeds the other one."""
    values = {name: getattr(spec, name) for name in (first, second)}
    smaller = first if larger == second else second
    if not values[larger] > values[smaller]:
        got = ", ".join(f"{name}={value}" for name, value in values.items())
        raise ValueError(f"`{larger}` must exceed `{smaller}`: got {got}. Did you swap them?")
