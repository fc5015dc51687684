"""The standard streams of a command: neither a text nor a lost reader ends it in a traceback."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from sde_jax.command_line.parsing import refuse


class ReaderGoneError(Exception):
    """Nobody reads stdout any more, as after ``| head -1``."""


class Stream(io.TextIOWrapper):
    """A standard stream in which characters that its encoding lacks are escaped.

    After a failed write, because its reader is gone or the disk is full, nothing more is written.

    Args:
      stream: the stream that it stands for.
      lenient: True if a failed write is no error.

    Raises:
      ReaderGoneError: by a write, if its reader is gone.
      OSError: by any other write that fails.
    """

    def __init__(self, stream: io.TextIOWrapper, *, lenient: bool) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
        )
        self._lenient = lenient

    def write(self, text: str) -> int:
        """Writes text and returns its length."""
        with self._silent_after_failure():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        with self._silent_after_failure():
            super().flush()

    @contextlib.contextmanager
    def _silent_after_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            if self._lenient:
                return
            if isinstance(error, BrokenPipeError):
                raise ReaderGoneError from None
            error.filename = self.name
            raise


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replaces the streams of the process by a `Stream` each, and closed ones by nothing.

    Exits with 141 if the reader of stdout is gone, and with 1 if a write there fails otherwise.
    """
    try:
        with replaced_streams():
            try:
                yield
            finally:
                sys.stdout.flush()
    except ReaderGoneError:
        sys.exit(141)
    except OSError as error:
        refuse(f"{error.filename} cannot be written: {error.strerror}.", code=1)


@contextlib.contextmanager
def replaced_streams() -> Iterator[None]:
    """Replaces the streams until the block ends."""
    with contextlib.ExitStack() as context:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:
                replaced = context.enter_context(open(os.devnull, "w"))
            elif type(stream) is io.TextIOWrapper:
                replaced = Stream(stream, lenient=name == "stderr")
                context.callback(replaced.detach)
            else:
                continue
            context.callback(setattr, sys, name, stream)
            setattr(sys, name, replaced)
        yield
