"""``python -m experiments list``."""

import sys
from typing import Any

from experiments.configuration import description, names


def main(args: list[str]) -> dict[str, Any]:
    """Prints a line for each experiment to stderr and returns their names."""
    headlines = {name: description(name).strip().partition("\n")[0] for name in names()}
    width = max(map(len, headlines))
    for name, headline in headlines.items():
        print(f"{name:{width}}  {headline}", file=sys.stderr)
    return {"experiments": list(headlines)}
