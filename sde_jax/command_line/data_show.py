"""``sde-jax data show SOURCE``."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax import figures
from sde_jax.command_line import number_show
from sde_jax.command_line.options.data_show import COMMON_SIZE, Show
from sde_jax.command_line.output import file_name, output_file
from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.errors import MixedSizesError
from sde_jax.data.named import all_records, spec_of
from sde_jax.evaluation.survey import Survey, survey
from sde_jax.lines import listed

"""Side of images of differing sizes where no ``--image-size`` is given."""

SHOWN = 64
"""Number of images drawn, evenly spread over all."""


def main(options: Show) -> dict[str, Any]:
    """Runs the command and returns its results."""
    if number_show.is_numbers(options):
        return number_show.main(options)
    fields = {name: getattr(options, name) for name in ("image_size", "fit", "grey")}
    spec = spec_of(options.source, options.data_dir, fields)
    try:
        records = all_records(spec)
    except MixedSizesError:
        spec = dataclasses.replace(spec, image_size=COMMON_SIZE)
        records = all_records(spec)
    name = file_name(Path(options.source).expanduser().resolve().name)
    out = output_file(options.out, Path("runs/data") / f"{name}.png")
    found = survey(records)
    shown = np.unique(np.linspace(0, len(found.examples) - 1, SHOWN).round().astype(int))
    figures.image_grid(found.examples[shown, ..., :3] / np.float32(255), out)
    numbers = results(found, next(iter(records.values())))
    print(*lines(numbers), sep="\n")
    return {"source": options.source, **numbers, "out": str(out)}


def results(found: Survey, records: EncodedRecords) -> dict[str, Any]:
    """Returns the results as plain values; ``records`` are those of any split."""
    most = found.classes and found.classes.values()
    return {
        "images": found.counts,
        "broken": found.broken,
        "stored_sizes": {
            "count": len(found.sizes),
            "smallest": min(found.sizes, key=math.prod),
            "largest": max(found.sizes, key=math.prod),
            "most_often": found.sizes.most_common(1)[0][0],
        },
        "shape": found.examples.shape[1:],
        "levels": found.range,
        "mean": found.mean.round(2).tolist(),
        "deviation": found.deviation.round(2).tolist(),
        "classes": most
        and {
            "count": len(most),
            "fewest": min(most),
            "most": max(most),
            "names": records.class_names,
        },
        "sigma_max": round(found.largest_distance(), 2),
        "sigma_max_images": len(found.examples),
        "remarks": records.remarks,
    }


def lines(numbers: dict[str, Any]) -> list[str]:
    """Returns the results as lines of text."""
    counts = ", ".join(f"{count} {split}" for split, count in numbers["images"].items())
    sizes, classes = numbers["stored_sizes"], numbers["classes"]
    smallest, largest, most_often = (by(sizes[k]) for k in ("smallest", "largest", "most_often"))
    sigma_max, images = numbers["sigma_max"], numbers["sigma_max_images"]
    many = "all" if images == sum(numbers["images"].values()) else f"{images} of the"
    said = [
        f"images: {counts}; {len(numbers['broken'])} broken",
        f"stored sizes: {sizes['count']}, {smallest} to {largest}, most often {most_often}"
        if sizes["count"] > 1
        else f"stored size: {smallest}",
        f"preprocessed: {by(numbers['shape'])}, levels {numbers['levels'][0]} to "
        f"{numbers['levels'][1]}, mean {numbers['mean']}, deviation {numbers['deviation']}",
        "labels: none"
        if classes is None
        else f"labels: {classes['count']} classes of {classes['fewest']} to {classes['most']}",
        f"sigma_max for VE: {sigma_max:.1f} in [-1, 1], {sigma_max / 2:.1f} in [0, 1], the largest "
        f"distance between two of {many} images",
    ]
    broken = [f"broken: {listed(numbers['broken'])}"] if numbers["broken"] else []
    return [*said, *numbers["remarks"], *broken]


def by(numbers: Sequence[int]) -> str:
    """Joins height, width and any channels by ``x``."""
    return "x".join(map(str, numbers))
