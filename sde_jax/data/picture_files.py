"""Pictures in a folder or a zip."""

import functools
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from sde_jax.data.encoded_records import Reopened
from sde_jax.data.errors import DataNotFoundError
from sde_jax.data.preprocessing import FORMATS
from sde_jax.lines import listed

LABELS = "dataset.json"
SUFFIXES = tuple(suffix for of_format in FORMATS.values() for suffix in of_format)
LARGEST = 2**31
"""Bytes of the largest picture that is read."""

SHOWN = 5


class PictureFiles:
    """Files by their paths below the root, with slashes, in alphabetical order.

    Links to folders are followed, each folder once. Hidden files, files in hidden folders and the
    ones that macOS adds to a zip are ignored.

    Attributes:
      path: the folder or the zip.
      stamps: two numbers for each file that change with its content: its size, and the time of its
        last change or its checksum.
      pictures: names of the files with the suffix of a picture.
      others: names of the remaining files, except lists of labels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = None if path.is_dir() else Reopened(functools.partial(zipfile.ZipFile, path))
        stamps = _folder_stamps(path) if self._zip is None else _zip_stamps(self._zip())
        self.stamps = {name: stamps[name] for name in sorted(stamps) if not _is_hidden(name)}
        self.pictures = [name for name in self.stamps if name.lower().endswith(SUFFIXES)]
        known = {*self.pictures, *(n for n in self.stamps if n.rpartition("/")[2] == LABELS)}
        self.others = [name for name in self.stamps if name not in known]

    def read(self, name: str) -> bytes:
        """Reads a file.

        Raises:
          Exception: any that the system or zipfile raises, or if it is no regular file or too large
            for a picture.
        """
        if self.stamps[name][0] > LARGEST:
            raise ValueError(f"its {self.stamps[name][0]:,} bytes are too many for a picture")
        if self._zip is not None:
            return self._zip().read(name)
        if not stat.S_ISREG((self.path / name).stat().st_mode):
            raise ValueError("it is no regular file")
        return (self.path / name).read_bytes()

    @property
    def remarks(self) -> list[str]:
        """Lines for the user: the files that are no pictures."""
        if not self.others:
            return []
        return [
            f"ignored: {len(self.others):,} of {len(self.stamps):,} files, which do not have the "
            f"suffix of a picture: {listed(self.others, separator=', ', limit=SHOWN)}"
        ]


def _folder_stamps(path: Path) -> dict[str, tuple[int, int]]:
    stamps = {}
    for folder, names in _folders(path):
        for file in (folder / name for name in names):
            status = file.lstat() if not file.exists() else file.stat()
            stamps[file.relative_to(path).as_posix()] = (status.st_size, status.st_mtime_ns)
    return stamps


def _folders(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yields each folder with the names of its files: first those below ``path``, then those that
    links lead to. A folder that was met before, by device and inode, is left out."""
    met, waiting = set(), [path]
    while waiting:
        links: list[Path] = []
        for folder, inner, names in (step for start in waiting for step in _walk(start)):
            status = folder.stat()
            if (status.st_dev, status.st_ino) in met:
                inner.clear()
                continue
            met.add((status.st_dev, status.st_ino))
            inner[:] = [name for name in inner if not _is_hidden(name)]
            links += (folder / name for name in inner if (folder / name).is_symlink())
            yield folder, names
        waiting = sorted(links)


def _walk(path: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walks the folders below ``path`` without following links; an unreadable one is an error."""

    def fail(error: OSError) -> NoReturn:
        raise error

    return ((Path(folder), inner, names) for folder, inner, names in os.walk(path, onerror=fail))


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
    if not (path.is_dir() or path.is_file()):
        raise DataNotFoundError(f"`path` {path} is neither a folder nor a zip of pictures")
    try:
        files = PictureFiles(path)
    except OSError as error:
        raise DataNotFoundError(
            f"{error.filename or path} cannot be read: {error.strerror}"
        ) from None
    except Exception as error:  # zipfile raises many kinds for a damaged zip
        raise DataNotFoundError(
            f"`path` {path} is neither a folder nor a zip that can be read: {error}"
        ) from None
    if not files.stamps:
        raise DataNotFoundError(f"{path} is empty: put pictures there, such as PNG or JPEG files")
    if not files.pictures:
        raise DataNotFoundError(
            f"{path} has no pictures: none of its files ({len(files.stamps)}, such as "
            f"{next(iter(files.stamps))}) has the suffix of one, such as .png, .jpg or .webp"
        )
    return files


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
