"""Samples of a run in shards, written as they are drawn: a kill loses only the last batch."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.atomic import whole_file, write_json
from sde_jax.data import ImageScaling
from sde_jax.data.shards import IDENTITY, INDEX, Shard, sha256_of, whole_shards
from sde_jax.json_files import read_json
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.serialization import to_config
from sde_jax.runs.conditions import digest
from sde_jax.runs.generation import check_memory, generate, is_valid
from sde_jax.runs.levels import to_levels
from sde_jax.runs.trained_run import GenerativeRun
from sde_jax.sampling import Samples
from sde_jax.training import checksum
from sde_jax.training.processes import of_first


def identity_of(
    run: GenerativeRun, settings: SamplerSettings | None, *, count: int, seed: int
) -> dict[str, Any]:
    """Returns everything that samples depend on; settings of float32 do not state their type, as
    those of former versions do not."""
    sampling = to_config(run.resolved(settings))
    if sampling is not None and sampling["compute_dtype"] == "float32":
        del sampling["compute_dtype"]
    return {
        "experiment": run.named.name,
        "step": run.step,
        "weights": f"{checksum(run.state.ema_params):08x}",
        "seed": seed,
        "count": count,
        "sampling": sampling,
        **({} if run.condition is None else {"condition": digest(run.condition, run.weight)}),
    }


def draw_shards(
    run: GenerativeRun,
    settings: SamplerSettings | None,
    folder: Path,
    *,
    count: int,
    seed: int,
    batch_size: int,
    announce: Callable[[Iterator[Samples], int], Iterator[Samples]] = lambda parts, total: parts,
) -> list[Shard]:
    """Draws samples 0 to ``count - 1`` into a folder, a shard for each batch, and returns all.

    Whole shards that are there already are kept: the same call continues after a kill, at the exact
    sample. Sample j is a function of the seed and j. An image is stored as its grey levels, in the
    smallest type that holds them; a point as float32. The first process writes.

    Args:
      run: the run.
      settings: the sampler.
      folder: the folder, which holds these shards or nothing.
      count: number of samples.
      seed: the seed.
      batch_size: samples drawn at once, and of a shard, at most about.
      announce: wraps the drawn batches, given the number of samples in them.

    Raises:
      UsageError: if the folder holds anything else.
      OSError: if it cannot be written.
    """
    draw, scaling = run.sample_fn(settings), run.layout.scaling
    check_memory(draw, run.inputs, batch_size=min(batch_size, count))
    levels = scaling.levels if isinstance(scaling, ImageScaling) else None
    identity = {**identity_of(run, settings, count=count, seed=seed), "levels": levels}
    shards = [Shard(*fields) for fields in of_first(lambda: prepare(folder, identity))]
    start = sum(shard.length for shard in shards)
    parts = generate(
        draw,
        run.inputs,
        key=jax.random.key(seed),
        count=count,
        batch_size=batch_size,
        start=start,
    )
    for part in announce(parts, count - start):
        data = to_levels(np.asarray(scaling.to_unit(part.x)), scaling)
        failed = (start + np.flatnonzero(~is_valid(part))).tolist()
        shard = Shard(f"{start:010}.npy", start, len(data), "", float(part.nfe.mean()), failed)
        fields = of_first(lambda shard=shard, data=data: write(folder, shard, data))
        shards.append(Shard(*fields))
        start += len(data)
    return shards


def prepare(folder: Path, identity: dict[str, Any]) -> list[Shard]:
    """Makes the folder ready and returns the shards that it holds.

    Raises:
      UsageError: if it holds anything but samples of this identity.
    """
    path = folder / IDENTITY
    if path.is_file():
        stored = read_json(path)
        there = stored if isinstance(stored, dict) else {}
        for name in identity:
            if there.get(name) != identity[name]:
                raise UsageError(
                    f"{folder} holds other samples, whose {name} is {there.get(name)}, not "
                    f"{identity[name]}: choose another folder."
                )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty and holds no samples: choose another folder.")
    write_json(path, identity)
    shards = whole_shards(folder)
    with whole_file(folder / INDEX) as file:
        file.writelines(shard.line() for shard in shards)
    return shards


def write(folder: Path, shard: Shard, data: np.ndarray) -> Shard:
    """Writes a shard and then its line of the index, and returns it with its hash."""
    with whole_file(folder / shard.file) as file:
        np.save(file, data)
    shard = shard._replace(sha256=sha256_of(folder / shard.file) or "")
    with (folder / INDEX).open("ab") as file:
        file.write(shard.line())
        file.flush()
        os.fsync(file.fileno())
    return shard
