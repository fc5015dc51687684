"""Images in shards: a folder of .npy files and an index, as ``sample`` writes it."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.rows import HostRows
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import DataSource, DataSpec
from sde_jax.data.splits import TRAIN
from sde_jax.data.transform import DequantizeAndFlip
from sde_jax.json_files import parse_json, read_json
from sde_jax.validation import fits

INDEX, IDENTITY = "index.jsonl", "identity.json"
THREADS = 2


class Shard(NamedTuple):
    """A file of samples, and a line of the index."""

    file: str
    """Its name."""
    first: int
    """The number of its first sample."""
    length: int
    """Its number of samples."""
    sha256: str
    """The hash of the file."""
    nfe: float
    """Mean number of network evaluations of a sample."""
    failed: list[int]
    """Numbers of the samples whose solver failed or that are not finite."""

    def line(self) -> bytes:
        """Returns the line of the index."""
        return json.dumps(self._asdict()).encode() + b"\n"

    def read(self, folder: Path) -> np.ndarray:
        """Maps the samples into memory."""
        samples: np.ndarray = np.load(folder / self.file, mmap_mode="r", allow_pickle=False)
        return samples


def whole_shards(folder: Path) -> list[Shard]:
    """Returns the shards in a folder, up to the first that is missing, damaged or not in order."""
    path, shards, rows = folder / INDEX, list[Shard](), 0
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
        shard = _parsed(line)
        if shard is None or shard.first != rows or sha256_of(folder / shard.file) != shard.sha256:
            break
        shards.append(shard)
        rows += shard.length
    return shards


def sha256_of(path: Path) -> str | None:
    """Returns the SHA-256 of a file; None if there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(line: bytes) -> Shard | None:
    """Returns the shard of a line of the index; None if the line is damaged or unfinished."""
    try:
        fields = parse_json(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(fields, dict) or set(fields) != set(Shard._fields):
        return None
    right = all(fits(fields[name], hint) for name, hint in Shard.__annotations__.items())
    return Shard(**fields) if right else None


class ShardedImages:
    """Images of several shards, indexed like an array. Failed ones are left out."""

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        self._arrays = [shard.read(folder) for shard in shards]
        self._firsts = np.array([shard.first for shard in shards])
        failed = [number for shard in shards for number in shard.failed]
        self._good = np.setdiff1d(np.arange(sum(map(len, self._arrays))), failed)
        self.shape = self._arrays[0].shape[1:]

    def __len__(self) -> int:
        return len(self._good)

    def __getitem__(self, indices: np.ndarray, /) -> np.ndarray:
        numbers = self._good[indices]
        places = np.searchsorted(self._firsts, numbers, side="right") - 1
        images = np.empty((len(numbers), *self.shape), self._arrays[0].dtype)
        for place in np.unique(places):
            rows = places == place
            images[rows] = self._arrays[place][numbers[rows] - self._firsts[place]]
        return images


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shards(DataSpec):
    """Samples of images in the shards that ``sample`` writes, as the split ``train``."""

    path: str
    """The folder."""

    def load(self) -> DataSource:
        """Opens the shards; their samples are read when they are needed.

        Raises:
          DataNotFoundError: if one is missing or damaged, or they hold no images.
        """
        levels = self._identity.get("levels")
        if not isinstance(levels, int):
            raise DataNotFoundError(f"{self.path} holds samples that are no images.")
        scaling = ImageScaling(levels=levels)
        images = ShardedImages(Path(self.path), self.shards)
        return DataSource(
            {TRAIN: HostRows(images=images, threads=THREADS)},
            DequantizeAndFlip(scaling=scaling),
            shape=images.shape,
            scaling=scaling,
        )

    def fingerprint(self, split: str) -> str:
        """See `DataSpec.fingerprint`."""
        return " ".join(shard.sha256 for shard in self.shards)

    @functools.cached_property
    def shards(self) -> list[Shard]:
        """The shards, whose files have the hashes of the index.

        Raises:
          DataNotFoundError: if one is missing or damaged.
        """
        shards = whole_shards(Path(self.path))
        rows, count = sum(shard.length for shard in shards), self._identity.get("count")
        if rows != count:
            raise DataNotFoundError(
                f"{self.path} holds {rows} of {count} samples: the `sample` that wrote them draws "
                "the others."
            )
        return shards

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        try:
            identity = read_json(Path(self.path) / IDENTITY)
        except (OSError, ValueError) as error:
            raise DataNotFoundError(f"{self.path} holds no samples: {error}") from None
        return identity if isinstance(identity, dict) else {}
