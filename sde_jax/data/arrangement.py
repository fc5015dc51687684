"""Splits and classes of the pictures in a folder, from its subfolders or dataset.json."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from sde_jax.data.picture_files import LABELS, PictureFiles
from sde_jax.data.source import TEST, TRAIN
from sde_jax.reporting import listed

VALIDATION = "validation"
SPLITS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("test", "testing"), TEST),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}
"""Splits by the names of their folders."""


class Classes(NamedTuple):
    """Classes of pictures."""

    of_pictures: dict[str, int] | None
    """Class of each picture, or None."""
    remark: str
    """Line for the user: the classes, or why there are none."""
    names: tuple[str, ...] | None = None
    """Names of the classes in order, where they are those of folders."""


class Arrangement(NamedTuple):
    """Splits and classes of pictures."""

    splits: dict[str, list[str]]
    """Pictures by split; empty where no folders are splits."""
    classes: Classes


def arrange(files: PictureFiles, *, labelled: bool) -> Arrangement:
    """Returns the splits and, if ``labelled``, the classes of the pictures.

    The root is the innermost folder of all pictures. Its subfolders are splits if all are named as
    splits, one of them ``train``. Without ``test``, the validation split takes its place.

    The innermost ``dataset.json`` in or above the root, or the folder of a split, states the
    classes: ``{"labels": [["00000/a.png", 3], ...]}``, or null for no classes. Otherwise, if every
    picture is in one of several subfolders of the root, or of its split, its class is the number of
    that subfolder in alphabetical order.

    Raises:
      ValueError: if a dataset.json does not have this form, or lacks a picture.
    """
    paths = {name: PurePosixPath("/", name) for name in files.pictures}
    root = _innermost(paths.values())
    folders = {name: path.relative_to(root).parts[0] for name, path in paths.items()}
    splits = _splits(folders)
    if not labelled:
        return Arrangement(splits, Classes(None, "no classes: `labels` is none"))
    roots = {name: root / folders[name] if splits else root for name in paths}
    listings = {folder: _listing(files, folder) for folder in dict.fromkeys(roots.values())}
    if any(listings.values()):
        classes = _listed_classes(files, {name: listings[roots[name]] for name in paths})
    else:
        below = {name: "/" / path.relative_to(roots[name]) for name, path in paths.items()}
        classes = _folder_classes(below)
    return Arrangement(splits, classes)


def _innermost(paths: Iterable[PurePosixPath]) -> PurePosixPath:
    return PurePosixPath(os.path.commonpath([path.parent for path in paths]))


def _splits(folders: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the pictures by split, from their folders; none unless every folder is a split."""
    splits: dict[str, list[str]] = {}
    for name, folder in folders.items():
        splits.setdefault(SPLITS.get(folder.lower(), ""), []).append(name)
    if "" in splits or TRAIN not in splits or len(splits) == 1:
        return {}
    if TEST not in splits:
        splits[TEST] = splits.pop(VALIDATION)
    return {split: splits[split] for split in (TRAIN, TEST, VALIDATION) if split in splits}


def _folder_classes(below: Mapping[str, PurePosixPath]) -> Classes:
    """Takes the classes from the folders of the pictures, whose paths in their split are given."""
    root = _innermost(below.values())
    parts = {name: path.relative_to(root).parts for name, path in below.items()}
    strays = [name for name, of_name in parts.items() if len(of_name) == 1]
    folders = sorted({of_name[0] for of_name in parts.values() if len(of_name) > 1})
    shown = listed(folders, separator=", ")
    if not folders:
        return Classes(None, "no classes: the images are not in subfolders")
    if strays:
        beside = f"{strays[0]} lies beside the folders {shown}: move it into one of them, or away"
        return Classes(None, f"no classes: {beside}")
    numbers = {name: folders.index(of_name[0]) for name, of_name in parts.items()}
    return Classes(numbers, f"{len(folders):,} classes: {shown}", tuple(folders))


def _listing(files: PictureFiles, folder: PurePosixPath) -> PurePosixPath | None:
    """Returns the innermost list of labels in or above a folder."""
    above = (path / LABELS for path in (folder, *folder.parents))
    return next((path for path in above if str(path.relative_to("/")) in files.stamps), None)


def _listed_classes(files: PictureFiles, listings: Mapping[str, PurePosixPath | None]) -> Classes:
    """Takes the classes from the list of labels of each picture."""
    labels = {path: _read_labels(files, path) for path in dict.fromkeys(listings.values()) if path}
    classes = {}
    for name, listing in listings.items():
        if listing is None:
            raise ValueError(f"{files.path}/{name} has no {LABELS}, as other splits have")
        where, known = f"{files.path}{listing}", labels[listing]
        if known is None:
            return Classes(None, f"no classes: {where} has none")
        below = str(PurePosixPath("/", name).relative_to(listing.parent))
        if below not in known:
            raise ValueError(f"{where} has no label for {below}")
        if type(known[below]) is not int or not 0 <= known[below] < 2**31:
            raise ValueError(
                f"{where} must have non-negative integers as labels: {below} has {known[below]!r}"
            )
        classes[name] = known[below]
    return Classes(classes, f"{len(set(classes.values())):,} classes, from {LABELS}")


def _read_labels(files: PictureFiles, listing: PurePosixPath) -> dict[str, Any] | None:
    where = f"{files.path}{listing}"
    try:
        text = files.read(str(listing.relative_to("/")))
    except Exception as error:  # zipfile raises many kinds
        raise ValueError(f"{where} cannot be read: {error}") from None
    try:
        labels = json.loads(text)["labels"]
        return None if labels is None else dict(labels)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(
            f'{where} must be {{"labels": [["00000/a.png", 3], ...]}} or {{"labels": null}}'
        ) from None
