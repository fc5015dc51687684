"""Splits and classes of the pictures in a folder, from its subfolders or dataset.json."""

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from sde_jax.data.picture_files import LABELS, PictureFiles
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.json_files import parse_json
from sde_jax.lines import listed

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
    root, below = _below_root({name: f"/{name}" for name in files.pictures})
    splits = _splits(below)
    if not labelled:
        return Arrangement(splits, Classes(None, "no classes: `labels` is none"))
    roots = dict.fromkeys(below, root)
    if splits:
        roots = {name: f"{root}{path.partition('/')[0]}/" for name, path in below.items()}
        below = {name: path.partition("/")[2] for name, path in below.items()}
    listings = {folder: _listing(files, folder) for folder in dict.fromkeys(roots.values())}
    if any(listings.values()):
        classes = _listed_classes(files, {name: listings[roots[name]] for name in roots})
    else:
        classes = _folder_classes({name: f"/{path}" for name, path in below.items()})
    return Arrangement(splits, classes)


def _below_root(paths: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Returns the innermost folder of absolute paths, and the paths below it."""
    parents = {path.rpartition("/")[0] or "/" for path in paths.values()}
    root = os.path.commonpath(list(parents)).rstrip("/") + "/"
    return root, {name: path.removeprefix(root) for name, path in paths.items()}


def _splits(below: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the pictures by split; none unless every subfolder of the root is a split."""
    splits: dict[str, list[str]] = {}
    for name, path in below.items():
        folder = path.partition("/")[0].lower()
        splits.setdefault(SPLITS.get(folder, ""), []).append(name)
    if "" in splits or TRAIN not in splits or len(splits) == 1:
        return {}
    if TEST not in splits:
        splits[TEST] = splits.pop(VALIDATION)
    return {split: splits[split] for split in (TRAIN, TEST, VALIDATION) if split in splits}


def _folder_classes(paths: Mapping[str, str]) -> Classes:
    """Takes the classes from the folders of the pictures, whose paths in their split are given."""
    below = _below_root(paths)[1]
    strays = [name for name, path in below.items() if "/" not in path]
    folders = sorted({path.partition("/")[0] for path in below.values() if "/" in path})
    shown = listed(folders, separator=", ")
    if not folders:
        return Classes(None, "no classes: the images are not in subfolders")
    if strays:
        beside = f"{strays[0]} lies beside the folders {shown}: move it into one of them, or away"
        return Classes(None, f"no classes: {beside}")
    numbers = {folder: number for number, folder in enumerate(folders)}
    classes = {name: numbers[path.partition("/")[0]] for name, path in below.items()}
    return Classes(classes, f"{len(folders):,} classes: {shown}", tuple(folders))


def _listing(files: PictureFiles, folder: str) -> str | None:
    """Returns the innermost list of labels in or above a folder."""
    above = (PurePosixPath(folder), *PurePosixPath(folder).parents)
    listings = (str(path / LABELS).removeprefix("/") for path in above)
    return next((listing for listing in listings if listing in files.stamps), None)


def _listed_classes(files: PictureFiles, listings: Mapping[str, str | None]) -> Classes:
    """Takes the classes from the list of labels of each picture."""
    labels = {path: _read_labels(files, path) for path in dict.fromkeys(listings.values()) if path}
    classes = {}
    for name, listing in listings.items():
        if listing is None:
            raise ValueError(f"{files.path}/{name} has no {LABELS}, as other splits have")
        where, known = f"{files.path}/{listing}", labels[listing]
        if known is None:
            return Classes(None, f"no classes: {where} has none")
        below = name.removeprefix(listing.removesuffix(LABELS))
        if below not in known:
            raise ValueError(f"{where} has no label for {below}")
        if type(known[below]) is not int or not 0 <= known[below] < 2**31:
            raise ValueError(
                f"{where} must have non-negative integers as labels: {below} has {known[below]!r}"
            )
        classes[name] = known[below]
    return Classes(classes, f"{len(set(classes.values())):,} classes, from {LABELS}")


def _read_labels(files: PictureFiles, listing: str) -> dict[str, Any] | None:
    where = f"{files.path}/{listing}"
    try:
        text = files.read(listing)
    except Exception as error:  # zipfile raises many kinds
        raise ValueError(f"{where} cannot be read: {error}") from None
    try:
        labels = parse_json(text)["labels"]
        return None if labels is None else dict(labels)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(
            f'{where} must be {{"labels": [["00000/a.png", 3], ...]}} or {{"labels": null}}'
        ) from None
