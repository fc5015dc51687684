"""``python -m experiments list``."""

from dataclasses import dataclass
from typing import Any

from experiments.command_line.parsing import parse
from experiments.configuration import description, names


@dataclass(frozen=True, kw_only=True)
class List:
    """Lists what there is to train, a line each."""


def main(args: list[str]) -> dict[str, Any]:
    """Prints a line for each experiment and returns their names."""
    parse(List, args, "list")
    headlines = {name: description(name).strip().partition("\n")[0] for name in names()}
    width = max(map(len, headlines))
    for name, headline in headlines.items():
        print(f"{name:{width}}  {headline}")
    return {"experiments": list(headlines)}
