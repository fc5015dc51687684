"""A peer in its own process, so that its threads and ours take turns."""

import contextlib
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from typing import Any, Self

from benchmarks.conditions import seconds, speed_of


class PeerProcess:
    """Calls a function of a peer in its own process.

    Args:
      library: the peer's library, which knows `conditions.operations_of`.
      module: name of the module that builds the function.
      builder: name of a function in that module, which returns the peer's name and the function.
      arguments: arguments of ``builder``, which can be pickled.

    Raises:
      ModuleNotFoundError: if the peer is not installed.
    """

    def __init__(self, library: str, module: str, builder: str, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        target = (theirs, library, module, builder, arguments)
        self._process = context.Process(target=serve, args=target)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        theirs.close()
        try:
            self.name: str = self._receive()
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()

    def __call__(self) -> Any:
        """Calls the function, and returns its result as a NumPy array or a number."""
        return self._ask("result")

    def seconds(self) -> float:
        """Calls the function, and returns the seconds that it took there."""
        answer: float = self._ask("seconds")
        return answer

    def speed(self) -> float:
        """Returns the speed of the library's known operations there, relative to that alone."""
        answer: float = self._ask("speed")
        return answer

    def _ask(self, question: str) -> Any:
        self._pipe.send(question)
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the peer exited with code {self._process.exitcode}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def serve(
    pipe: multiprocessing.connection.Connection,
    library: str,
    module: str,
    builder: str,
    arguments: tuple[Any, ...],
) -> None:
    """Builds the function and answers questions until the pipe closes."""
    end_with_parent()
    try:
        name, call = getattr(importlib.import_module(module), builder)(*arguments)
        answers = {
            "result": lambda: as_numpy(call()),
            "seconds": lambda: seconds(call),
            "speed": lambda: speed_of(library),
        }
        pipe.send(name)
        with contextlib.suppress(EOFError):
            while True:
                pipe.send(answers[pipe.recv()]())
    except Exception as error:
        pipe.send(error)


def as_numpy(result: Any) -> Any:
    """Converts a tensor, which other processes would need PyTorch to read."""
    return result.cpu().numpy() if hasattr(result, "cpu") else result


def end_with_parent() -> None:
    """Makes this process the leader of a group, and kills the group when its parent ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    with contextlib.suppress(PermissionError):  # It leads its group already.
        os.setpgid(0, 0)

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
