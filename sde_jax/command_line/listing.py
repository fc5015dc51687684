"""``sde-jax list``."""

from dataclasses import dataclass
from typing import Any

from sde_jax.interop.configurations import published, published_names
from sde_jax.runs.catalogue import definitions


@dataclass(frozen=True, kw_only=True)
class List:
    """Lists the experiments to train and the studies to reproduce, one per line."""


def main(options: List) -> dict[str, Any]:
    """Prints a line for each experiment and study and returns their names."""
    known = definitions()
    headlines = {one.name: one.headline for one in known if not one.is_study}
    headlines |= {name: published_headline(name) for name in published_names()}
    studies = {one.name: one.headline for one in known if one.is_study}
    width = max(map(len, headlines | studies))
    for title, lines in {"train NAME": headlines, "python -m experiments NAME": studies}.items():
        print(f"{title}:")
        for name, line in lines.items():
            print(f"  {name:{width}}  {line}")
    return {"experiments": list(headlines), "studies": list(studies)}


def published_headline(name: str) -> str:
    """Describes a published model in a line."""
    model = published(name)
    data = model.dataset if model.category is None else f"{model.dataset} {model.category}"
    times = "continuous" if model.continuous else f"{model.num_scales} levels"
    size = f"{model.image_size}x{model.image_size}"
    return f"{data} ({size}), {type(model.process).__name__}, {times}, as published."
