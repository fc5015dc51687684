"""``sde-jax data show FILE`` of a file of numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sde_jax import array_figures, figures
from sde_jax.command_line.options.data_show import Show
from sde_jax.command_line.output import file_name, output_file
from sde_jax.data import NumberFile, read_table
from sde_jax.data.array_data import is_images
from sde_jax.data.measuring import Statistics, pieces
from sde_jax.data.tables import READERS, Table

DRAWN = 20_000
"""Number of examples whose values are drawn, evenly spread over all."""
IMAGES = 64
PRINTED = 30
"""Number of channels that are printed; the results have all."""


class Channel(NamedTuple):
    """The values of a channel; the numbers are those of the finite ones, None without any."""

    name: str
    least: float | None
    most: float | None
    mean: float | None
    deviation: float | None
    missing: int
    infinite: int


def is_numbers(options: Show) -> bool:
    """Says whether the source is a file of numbers."""
    path = Path(options.source).expanduser()
    return options.data_dir is None and path.suffix.lower() in READERS and not path.is_dir()


def main(options: Show) -> dict[str, Any]:
    """Prints and draws the numbers of a file, and returns the results."""
    table = read_table(options.source, options.array, options.columns)
    name = file_name(Path(options.source).expanduser().resolve().name)
    out = output_file(options.out, Path("runs/data") / f"{name}.png")
    channels = channels_of(table)
    values = table.values
    draw(values, table.names, out)
    refusal = refusal_of(options)
    found = {
        "source": options.source,
        "examples": len(values),
        "shape": values.shape[1:],
        "dtype": str(values.dtype),
        "channels": [channel._asdict() for channel in channels],
        "refusal": refusal,
        "out": str(out),
    }
    print(f"{len(values):,} examples of shape {list(values.shape[1:])}, {values.dtype}")
    print(*lines(channels[:PRINTED]), sep="\n")
    if len(channels) > PRINTED:
        print(f"and {len(channels) - PRINTED} more channels")
    print("training accepts it" if refusal is None else f"training refuses it: {refusal}")
    return found


def channels_of(table: Table) -> list[Channel]:
    """Measures the channels of a table in one pass."""
    count = table.values.shape[-1]
    names = table.names or [str(number) for number in range(count)]
    known: list[Statistics | None] = [None] * count
    missing, infinite = np.zeros(count, int), np.zeros(count, int)
    for _, part in pieces(table.values):
        columns = part.reshape(-1, count)
        missing += np.isnan(columns).sum(axis=0)
        infinite += np.isinf(columns).sum(axis=0)
        for number, column in enumerate(columns.T):
            finite = column[np.isfinite(column)][:, None]
            if len(finite):
                before, new = known[number], Statistics.of(finite)
                known[number] = new if before is None else before.joined(new)
    return [
        Channel(name, *numbers_of(of), int(missing[i]), int(infinite[i]))
        for i, (name, of) in enumerate(zip(names, known, strict=True))
    ]


def numbers_of(
    found: Statistics | None,
) -> tuple[float | None, float | None, float | None, float | None]:
    """Returns least, most, mean and deviation of one channel."""
    if found is None:
        return None, None, None, None
    return found.least.item(), found.most.item(), found.mean.item(), found.deviation.item()


def lines(channels: list[Channel]) -> Iterator[str]:
    """Yields the lines of a table of channels."""
    width = max(len("channel"), *(len(channel.name) for channel in channels))
    yield f"{'channel':{width}}" + "".join(
        f" {title:>12}" for title in ("least", "most", "mean", "deviation", "missing", "infinite")
    )
    for name, *values, missing, infinite in channels:
        shown = "".join(f" {'-' if x is None else format(x, '.5g'):>12}" for x in values)
        yield f"{name:{width}}{shown} {missing:>12,} {infinite:>12,}"


def refusal_of(options: Show) -> str | None:
    """Returns the reason for which training would refuse the file; None if it would not."""
    try:
        NumberFile(path=options.source, array=options.array, columns=options.columns).measure()
    except ValueError as error:
        return str(error)
    return None


def draw(values: np.ndarray, names: tuple[str, ...] | None, out: Path) -> None:
    """Draws images, or histograms of the channels."""
    most = IMAGES if is_images(values) else DRAWN
    rows = np.unique(np.linspace(0, max(len(values) - 1, 0), most).round().astype(int))
    shown = np.asarray(values[rows]) if len(values) else np.asarray(values)
    if is_images(values) and len(shown):
        figures.image_grid(shown / np.float32(255), out)
    else:
        array_figures.arrays({"data": shown}, out, names=names)
