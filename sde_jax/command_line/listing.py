"""``sde-jax list``."""

from typing import Any

from sde_jax.command_line.options.listing import List
from sde_jax.interop.configurations import MODELS, published_names
from sde_jax.runs.definition_names import definitions

PROCESSES = {"vpsde": "VP", "subvpsde": "SubVP", "vesde": "VE"}
"""Processes by their names in published configurations."""


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
    model = MODELS[name]
    data = " ".join(filter(None, (model["dataset"], model["category"])))
    times = "continuous" if model["continuous"] else f"{model['num_scales']} levels"
    size = "{0}x{0}".format(model["image_size"])
    return f"{data} ({size}), {PROCESSES[model['sde']]}, {times}, as published."
