"""Data sets by a path, or by the name of a prepared set."""

import dataclasses
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.folder import Folder
from sde_jax.data.splits import TRAIN
from sde_jax.data.stored_images import StoredImages
from sde_jax.data.tfds import TfdsImages


def spec_of(source: str, data_dir: str | None, fields: Mapping[str, Any]) -> StoredImages:
    """Returns the spec of pictures at ``source``, or else of a prepared set of this name.

    A ``data_dir`` always selects the prepared set.
    """
    path = Path(source).expanduser()
    archive = path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path))
    if data_dir is None and (path.is_dir() or archive):
        return Folder(path=source, held_out=0, **fields)
    return TfdsImages(name=source, data_dir=data_dir, **fields)


def all_records(spec: StoredImages) -> Mapping[str, EncodedRecords]:
    """Returns all images of the source, by its own splits."""
    if not isinstance(spec, TfdsImages):
        records = spec.records()
        return records if len(records) > 1 else {"pictures": records[TRAIN]}
    try:
        splits = spec.available_splits()
    except DataNotFoundError as error:
        raise DataNotFoundError(
            f"{spec.name} is no folder or zip, and as a prepared set: {error}"
        ) from None
    return {
        split: dataclasses.replace(spec, train_split=split, test_split=split).records()[TRAIN]
        for split in splits
    }
