"""Pictures in a folder or a zip, with their classes."""

import functools
import os
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from sde_jax.data.encoded_records import Reopened
from sde_jax.data.errors import DataNotFoundError
from sde_jax.json_files import parse_json

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
LABELS = "dataset.json"


class PictureFiles:
    """Files by their paths below the root, with slashes, in alphabetical order.

    Hidden files, files in hidden folders and the ones that macOS adds to a zip are ignored.

    Attributes:
      path: the folder or the zip.
      stamps: two numbers for each file that change with its content: its size, and the time of its
        last change or its checksum.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = None if path.is_dir() else Reopened(functools.partial(zipfile.ZipFile, path))
        stamps = _folder_stamps(path) if self._zip is None else _zip_stamps(self._zip())
        self.stamps = {name: stamps[name] for name in sorted(stamps) if not _is_hidden(name)}

    @property
    def pictures(self) -> list[str]:
        """Names of the files with the suffix of a picture."""
        return [name for name in self.stamps if name.lower().endswith(SUFFIXES)]

    def read(self, name: str) -> bytes:
        """Reads a file; raises ``OSError`` or ``zipfile.BadZipFile``."""
        return (self.path / name).read_bytes() if self._zip is None else self._zip().read(name)


def _folder_stamps(path: Path) -> dict[str, tuple[int, int]]:
    stamps = {}
    for folder, _, names in os.walk(path):
        for file in (Path(folder, name) for name in names):
            status = file.lstat() if not file.exists() else file.stat()
            stamps[file.relative_to(path).as_posix()] = (status.st_size, status.st_mtime_ns)
    return stamps


def _zip_stamps(opened: zipfile.ZipFile) -> dict[str, tuple[int, int]]:
    entries = (entry for entry in opened.infolist() if not entry.is_dir())
    return {entry.filename: (entry.file_size, entry.CRC) for entry in entries}


def open_files(path: Path) -> PictureFiles:
    """Opens a folder or a zip with at least one picture.

    Raises:
      DataNotFoundError: if there is no picture, or ``path`` is neither.
    """
    if not path.exists():
        raise DataNotFoundError(f"`path` {path} does not exist: name a folder or a zip of pictures")
    try:
        files = PictureFiles(path)
    except zipfile.BadZipFile as error:
        raise DataNotFoundError(
            f"`path` {path} is neither a folder nor a zip that can be read: {error}"
        ) from None
    if not files.stamps:
        raise DataNotFoundError(f"{path} is empty: put PNG, JPEG or WebP pictures there")
    if not files.pictures:
        raise DataNotFoundError(
            f"{path} has no pictures: none of its files ({len(files.stamps)}, such as "
            f"{next(iter(files.stamps))}) ends with {', '.join(SUFFIXES)}"
        )
    return files


def classes_of(files: PictureFiles) -> dict[str, int] | None:
    """Returns the class of each picture, or None.

    If the root has a file ``dataset.json``, it states the classes: ``{"labels": [["00000/a.png",
    3], ...]}``, or null for no classes. Otherwise, if every picture is in one of several subfolders
    of the root, its class is the number of that subfolder in alphabetical order. The root is the
    innermost folder that holds all files.

    Raises:
      ValueError: if the file does not have this form, or lacks a picture.
    """
    root = PurePosixPath(os.path.commonpath([PurePosixPath("/", n).parent for n in files.stamps]))
    below = {name: PurePosixPath("/", name).relative_to(root) for name in files.pictures}
    listing = str((root / LABELS).relative_to("/"))
    if listing in files.stamps:
        return _listed_classes(files, listing, {name: str(path) for name, path in below.items()})
    folders = sorted({path.parts[0] for path in below.values() if len(path.parts) > 1})
    if len(folders) < 2 or any(len(path.parts) == 1 for path in below.values()):
        return None
    return {name: folders.index(path.parts[0]) for name, path in below.items()}


def _listed_classes(
    files: PictureFiles, listing: str, below: dict[str, str]
) -> dict[str, int] | None:
    where = files.path / listing
    try:
        labels: Any = parse_json(files.read(listing))["labels"]
        classes = None if labels is None else dict(labels)
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f'{where} must be {{"labels": [["00000/a.png", 3], ...]}} or {{"labels": null}}'
        ) from None
    if classes is None:
        return None
    for name in below.values():
        if name not in classes:
            raise ValueError(f"{where} has no label for {name}")
        if type(classes[name]) is not int or not 0 <= classes[name] < 2**31:
            raise ValueError(
                f"{where} must have non-negative integers as labels: {name} has {classes[name]!r}"
            )
    return {name: classes[path] for name, path in below.items()}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
