"""Rules and types of the fields of specs; a failure names the field, the rule and the value."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import typeguard

LARGEST = 3.4028234663852886e38
"""The largest finite number of 32 bits, in which everything is computed."""

LARGEST_INTEGER = 2**32 - 1
"""The largest seed. No count comes near it."""

LONGEST = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True)
class Rule:
    """A rule of a field, stated in its type: ``steps: Annotated[int, at_least(1)]``."""

    text: str
    """The rule in words, such as "be at least 1"."""
    holds: Callable[[Any], bool]
    """Whether a value fulfills the rule; None is not checked."""


@dataclass(frozen=True)
class Only:
    """The condition under which a field has an effect, stated in its type beside its rules."""

    text: str
    """The condition in words, such as "`embedding` is fourier"."""
    holds: Callable[[Any], bool]
    """Whether a spec fulfills it."""


def at_least(least: float) -> Rule:
    """Returns the rule of a field that has a least value; NaN breaks it."""
    return Rule(f"be at least {least}", lambda value: value >= least)


def at_most(most: float) -> Rule:
    """Returns the rule of a field that has a largest value: beyond it, a request is a mistake."""
    return Rule(f"be at most {most:,}", lambda value: value <= most)


def each_at_most(most: int, *, length: int = 16) -> Rule:
    """Returns the rule of a tuple of few numbers, each of which has a largest value."""
    text = f"be at most {length} numbers of at most {most:,}"
    return Rule(text, lambda values: len(values) <= length and all(v <= most for v in values))


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
Width = Annotated[int, at_least(4), at_most(2**16)]
"""The width of a layer."""
GroupWidth = Annotated[
    int,
    Rule(
        "be a multiple of 4, the least size of a normalization group",
        lambda width: width >= 4 and width % 4 == 0,
    ),
    at_most(2**16),
]
"""The width of a layer that is normalized in groups of channels."""
Depth = Annotated[int, at_least(1), at_most(64)]
"""A number of layers, each of which is compiled."""
Multipliers = Annotated[
    tuple[int, ...],
    Rule("be a positive integer per level, as in (1, 2, 2)", lambda v: min(v, default=0) >= 1),
    each_at_most(2**10),
]
"""The width of each level in multiples of the first."""
Sizes = Annotated[tuple[int, ...], each_at_most(2**16)]
"""Sides of images, or widths of layers."""
Side = Annotated[int | None, at_least(1), at_most(2**16)]
"""The side of an image in pixels; None where the image states it."""
Classes = Annotated[int | None, at_least(1), at_most(10**6)]
"""A number of classes, each with an embedding."""
Levels = Annotated[int, at_least(2), at_most(10**6)]
"""A number of noise levels."""
Steps = Annotated[int, at_least(1), at_most(10**6)]
"""A number of steps of a sampler or of a chain."""
ComputeDtype = Literal["float32", "bfloat16"]
"""The type in which a network computes."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A frozen dataclass that checks the rules of its fields.

    Numbers must be finite in 32 bits; a default such as infinity may be larger.

    Raises:
      ValueError: if a field breaks a `Rule` of its type, or has no value of its `Literal`.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, (kind, *parts) = getattr(self, field.name), parts_of(field.type)
            if get_origin(kind) is Literal:
                choices = get_args(kind)
                rule = f"be one of {', '.join(map(str, choices))}"
                require(self, field.name, value in choices, rule)
            for part in parts:
                if isinstance(part, Rule):
                    require(self, field.name, value is None or part.holds(value), part.text)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float) and value != field.default:
                    require(self, field.name, abs(number) <= LARGEST, "be finite in 32 bits")
                elif isinstance(number, int):
                    require(self, field.name, abs(number) <= LARGEST_INTEGER, "be below 2^32")


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Returns a type and what is stated beside it by `Annotated`."""
    return get_args(hint) if get_origin(hint) is Annotated else (hint,)


def without_effect(spec: Any, default: Any, path: str = "") -> Iterator[str]:
    """Yields a line for each field that differs from that of ``default`` and has no effect.

    Args:
      spec: a spec, with specs in it.
      default: another one; None for the defaults of its class.
      path: names of the specs around it, each with a dot, for the message.
    """
    for field in dataclasses.fields(spec):
        value, usual = getattr(spec, field.name), getattr(default, field.name, field.default)
        if dataclasses.is_dataclass(value):
            yield from without_effect(value, usual, f"{path}{field.name}.")
            continue
        for part in parts_of(field.type):
            if isinstance(part, Only) and value != usual and not part.holds(spec):
                got = f"got {field.name}={shown(value)}"
                yield f"`{path}{field.name}` has no effect unless {part.text}: {got}."


def check_effects(spec: Any, default: Any) -> None:
    """Raises ValueError for the first field that was changed from ``default`` without effect."""
    for message in without_effect(spec, default):
        raise ValueError(message)


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
        values = ", ".join(f"{name}={shown(getattr(spec, name))}" for name in names)
        raise ValueError(f"`{names[0]}` must {rule}: got {values}.")


def require_order(spec: Any, first: str, second: str, larger: str) -> None:
    """Raises `ValueError` unless the field ``larger`` of two fields exceeds the other one."""
    values = {name: getattr(spec, name) for name in (first, second)}
    smaller = first if larger == second else second
    if not values[larger] > values[smaller]:
        got = ", ".join(f"{name}={shown(value)}" for name, value in values.items())
        raise ValueError(f"`{larger}` must exceed `{smaller}`: got {got}. Did you swap them?")


def fits(value: Any, hint: Any) -> bool:
    """Returns whether a value is of a type, item by item; true and false are no numbers."""
    everything = typeguard.CollectionCheckStrategy.ALL_ITEMS
    try:
        typeguard.check_type(value, hint, collection_check_strategy=everything)
    except typeguard.TypeCheckError:
        return False
    wanted = leaves(hint)
    only_numbers = bool(wanted & {int, float}) and wanted.isdisjoint({bool, Any})
    return not (only_numbers and has_truth_value(value))


def has_truth_value(value: Any) -> bool:
    """Returns whether a value is true or false, or has such items."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(map(has_truth_value, value))
    return isinstance(value, bool)


def leaves(hint: Any) -> set[Any]:
    """Returns the types that a type is made of."""
    arguments = get_args(hint)
    if not arguments or get_origin(hint) is Literal:
        return {hint}
    return set().union(*map(leaves, arguments))


def shown(value: Any) -> str:
    """Formats a value for a message; the middle of a long one is left out."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of so many digits.
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 4 :]}"
