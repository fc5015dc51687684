"""Likelihoods of a split, and their summary."""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from sde_jax.arrays import PRNGKeyArray, PyTree
from sde_jax.data.source import ENDLESS, Batch, DataSource, Layout
from sde_jax.likelihood import LogLikelihoods, bits_per_dimension
from sde_jax.memory import check_fits
from sde_jax.metrics import mean_estimate
from sde_jax.recipes.interfaces import Density, Measured
from sde_jax.runs.generation import numbered_keys, whole_batches
from sde_jax.training.devices import compiled_on_each_device, data_mesh, shard_batch
from sde_jax.training.processes import is_first

Conditions = Callable[[Batch, np.ndarray], PyTree | None]
"""Returns the conditions of a batch of examples, of these numbers; None without any."""

RESULT_BYTES = 17
"""Bytes of the results of an example."""


def measure(
    density: Density,
    params: PyTree,
    source: DataSource,
    split: str,
    *,
    key: PRNGKeyArray,
    count: int | None,
    batch_size: int,
    start: int = 0,
    chosen: np.ndarray | None = None,
    condition_of: Conditions = lambda batch, numbers: None,
) -> Iterator[Measured]:
    """Yields the likelihoods of examples ``start`` to ``count - 1`` (None: the last), batch by
    batch; or of those with the numbers ``chosen``.

    Example j is dequantized and probed by keys of its own, whatever the batch size. A conditional
    density has its condition from ``condition_of``.
    """
    key_data, key_probe = jax.random.split(key)
    if count is None and source.sizes[split] == ENDLESS:
        raise ValueError(f"`count` must be stated: the split {split} has no end.")
    total = min(source.sizes[split], count or source.sizes[split])
    numbers = np.arange(total) if chosen is None else chosen
    total = len(numbers)
    check_fits(total * RESULT_BYTES, f"the results of `count`={total:,} examples")
    mesh = data_mesh()
    batch_size = whole_batches(batch_size, total, mesh)
    compiled = compiled_on_each_device(density)
    shown = {"unit": " examples", "desc": "likelihood", "disable": not is_first()}
    first = 0
    with tqdm(total=total, initial=min(start, total), **shown) as progress:
        for batch in source.batches(key_data, split, batch_size, count=total, chosen=chosen):
            skipped = min(max(start - first, 0), len(batch.x))
            batch = jax.tree.map(lambda rows, skipped=skipped: rows[skipped:], batch)
            x, index = batch.x, first + skipped
            first = index + len(x)
            if not len(x):
                continue
            own = numbers[index : index + len(x)]
            keys = numbered_keys(key_probe, np.pad(own, (0, batch_size - len(own)), mode="edge"))
            condition = condition_of(batch, own)
            examples = (x,) if condition is None else (x, condition)
            result = compiled(params, keys, *shard_batch(examples, mesh, batch_size))
            result = jax.device_get(result)
            kept = len(x)
            result = jax.tree.map(lambda array, kept=kept: array[:kept], result)
            slope = source.scaling.log_slope(np.asarray(x))
            yield _in_units(result, math.prod(source.shape), slope)
            progress.update(kept)


def concatenate(parts: Iterable[Measured]) -> Measured:
    """Concatenates the likelihoods of all parts."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def _in_units(result: LogLikelihoods, dimensions: int, slope: Any) -> Measured:
    """Converts arrays of the host from model coordinates to the data's.

    ``slope`` is the log-determinant per dimension, of all or of each. NaN stands for what is not
    known.
    """
    nats: Any = np.where(result.converged, result.nats, np.float32(math.nan))
    stderr = np.full_like(nats, math.nan) if result.probe_stderr is None else result.probe_stderr
    bit = dimensions * math.log(2)
    of_draws = result.draw_stderr
    return Measured(
        nats=nats + dimensions * slope,
        bits_per_dim=np.asarray(bits_per_dimension(nats, dimensions, slope)),
        probe_stderr=np.asarray(stderr / bit),
        nfe=np.asarray(result.nfe),
        converged=np.isfinite(np.asarray(nats)),
        draw_stderr=None if of_draws is None else np.asarray(of_draws / bit),
    )


class Unit(NamedTuple):
    """The unit in which likelihoods are stated: bits per dimension, or nats of an example."""

    name: str
    """``bits_per_dim`` or ``nats``."""
    factor: float
    """Value of one bit per dimension."""


def unit_of(layout: Layout) -> Unit:
    """Returns bits for integers and points, nats of the data's own density for other numbers."""
    if layout.scaling.in_bits:
        return Unit("bits_per_dim", 1.0)
    return Unit("nats", -math.prod(layout.shape) * math.log(2))


def summarize(measured: Measured, layout: Layout) -> dict[str, Any]:
    """Returns the mean over the examples whose solve converged, and standard errors, in the unit of
    `unit_of`.

    ``stderr`` is that of the mean over examples, the errors of probes and draws included;
    ``probe_stderr`` and ``draw_stderr`` are the parts of it that more of them would remove, None
    where one leaves it unknown.
    """
    unit = unit_of(layout)
    values = unit.factor * measured.bits_per_dim[measured.converged]
    mean, stderr, _ = mean_estimate(values) if len(values) else (math.nan, math.nan, ())

    def part(errors: np.ndarray | None) -> Any:
        if errors is None or not len(values):
            return None
        squared = (errors[measured.converged] ** 2).sum()
        return plain(abs(unit.factor) * math.sqrt(squared) / len(values))

    return {
        unit.name: plain(mean),
        "stderr": plain(stderr),
        "probe_stderr": part(measured.probe_stderr),
        "draw_stderr": part(measured.draw_stderr),
        "nfe": plain(measured.nfe.mean()),
        "nfe_max": int(measured.nfe.max()),
        "count": len(measured.nats),
        "dimensions": math.prod(layout.shape),
        "failed": np.flatnonzero(~measured.converged).tolist(),
    }


def write_table(measured: Measured, layout: Layout, path: Path) -> None:
    """Writes a line for each example: index, nats, bits per dimension where they are the unit, the
    errors of the last, evaluations."""
    unit = unit_of(layout)
    columns = {"nats": measured.nats, unit.name: unit.factor * measured.bits_per_dim}
    error = abs(unit.factor)
    columns |= {"probe_stderr": error * measured.probe_stderr, "nfe": measured.nfe}
    if measured.draw_stderr is not None:
        columns["draw_stderr"] = error * measured.draw_stderr
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", *columns])
        rows = enumerate(zip(*columns.values(), strict=True))
        writer.writerows([index, *(value.item() for value in row)] for index, row in rows)


def plain(value: Any) -> Any:
    """Converts a value for JSON: numpy scalars to Python numbers, and NaN to None."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    value = getattr(value, "item", lambda: value)()
    return None if isinstance(value, float) and not math.isfinite(value) else value
