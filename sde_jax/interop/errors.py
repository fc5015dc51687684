"""Errors in files of weights."""

from collections.abc import Sequence
from os import PathLike


class CheckpointFileError(ValueError):
    """A file has the wrong format, is damaged, or does not fit the model.

    Attributes:
      path: the file.
      problems: the list of problems, each a sentence without its full stop.
    """

    def __init__(self, path: str | PathLike[str], problems: str | Sequence[str]) -> None:
        self.path = path
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        first, *others = self.problems
        text = f"{path}: {first}" if not others else "\n  ".join([f"{path}:", first, *others])
        super().__init__(text)
