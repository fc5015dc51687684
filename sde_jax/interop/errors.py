"""What can be wrong with a file of weights."""

from collections.abc import Sequence
from os import PathLike

__all__ = ["CheckpointFileError"]


class CheckpointFileError(ValueError):
    """A file cannot be read as what it should be, or does not fit the model.

    Attributes:
      path: the file.
      problems: all that is wrong with it, each a sentence without its full stop.
    """

    def __init__(self, path: str | PathLike[str], problems: str | Sequence[str]) -> None:
        self.path = path
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        first, *others = self.problems
        text = f"{path}: {first}" if not others else "\n  ".join([f"{path}:", first, *others])
        super().__init__(text)
