"""Checkpoints: written in the background, whole or not at all, and checked when they are read."""

import contextlib
import json
import shutil
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import orbax.checkpoint as ocp

from sde_jax.arrays import PyTree
from sde_jax.reporting import report
from sde_jax.training.errors import CheckpointError
from sde_jax.training.fingerprint import checksum
from sde_jax.training.orbax_noise import reason_of, wait_for_threads, without_orbax_noise
from sde_jax.training.processes import finding_of_any

__all__ = ["Checkpoints", "Restored", "saved_steps"]

TEMPORARY = ".orbax-checkpoint-tmp"


class Restored(NamedTuple):
    """What a checkpoint held."""

    step: int
    """Updates made when it was written."""

    state: PyTree
    """The arrays, with the shardings asked for."""

    notes: dict[str, Any]
    """The JSON object written beside them."""


class Checkpoints:
    """The checkpoints in ``directory``, each in a folder named by its step.

    A folder holds what orbax writes: ``state`` (the arrays) and ``notes/metadata`` (a JSON object:
    the caller's notes, a checksum of the arrays, a checksum of the object itself). It appears under
    its name when it is complete. Use as a context manager: leaving it waits for the save in
    progress.

    Args:
      directory: where they are; made by the first save.
      keep: how many of the newest to keep.
      keep_best: keep, too, the one with the lowest ``notes["held_out_loss"]`` of its own step.
    """

    def __init__(self, directory: Path, *, keep: int = 1, keep_best: bool = False) -> None:
        self.directory = directory.absolute()
        self.keep = keep
        self.keep_best = keep_best
        self._checkpointer = new_checkpointer()
        self._context = contextlib.ExitStack()
        self._saving: int | None = None
        self._failure: str | None = None

    def __enter__(self) -> Self:
        self._context.enter_context(without_orbax_noise())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.settle()
        self._report_failure()
        self._close()
        self._context.close()

    def steps(self) -> list[int]:
        """The steps with a complete checkpoint, readable or not, in order."""
        return saved_steps(self.directory)

    def best_step(self) -> int | None:
        """The step with the lowest held-out loss among those evaluated when they were saved."""
        losses = {step: self._held_out_loss(step) for step in self.steps()}
        evaluated = {step: loss for step, loss in losses.items() if loss is not None}
        return min(evaluated, key=evaluated.__getitem__) if evaluated else None

    def save(self, step: int, state: PyTree, notes: dict[str, Any]) -> None:
        """Starts writing ``state`` and ``notes`` (for JSON); returns when the arrays are copied.

        It waits for the save before it, and reports in a line on stderr if that failed. A failure
        never raises here but in `wait`; it costs none of the checkpoints before. One of several
        processes cannot go on without the others, which wait for its part: there it raises.
        """
        self.settle()
        self._report_failure()
        self._saving = step
        try:
            self._checkpointer.save(
                self.directory / str(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    notes=ocp.args.JsonSave(seal({**notes, "arrays": checksum(state)})),
                ),
            )
        except Exception as error:
            self._fail(reason_of(error))

    def settle(self) -> None:
        """Waits for the save in progress and deletes old ones; does not say if it failed."""
        if self._saving is None:
            return
        try:
            self._checkpointer.wait_until_finished()
        except Exception as error:
            self._fail(reason_of(error))
            return
        self._saving = None
        if jax.process_index() == 0:
            self._delete_old()

    def wait(self) -> None:
        """Waits until the last save is on disk.

        Raises:
          CheckpointError: if it failed, in any process if there are several.
        """
        self.settle()
        failure, self._failure = finding_of_any(self._failure), None
        if failure is not None:
            raise CheckpointError(failure)

    def restore_newest(self, like: PyTree) -> Restored | None:
        """The newest checkpoint that can be read, or None where there is none at all.

        One that cannot be read, or whose arrays are not those that were written, is named in a line
        on stderr.

        Args:
          like: the state's `jax.ShapeDtypeStruct`, each with the sharding to restore it to.

        Raises:
          CheckpointError: if there are checkpoints and none can be read.
        """
        return self._restore_first(self.steps()[::-1], like)

    def restore_best(self, like: PyTree) -> Restored | None:
        """The checkpoint of `best_step`, or the newest one that can be read: see `restore_newest`.

        Raises:
          CheckpointError: if there are checkpoints and none can be read.
        """
        best = self.best_step()
        return self._restore_first(sorted(self.steps(), key=lambda s: (s != best, -s)), like)

    def _restore_first(self, steps: list[int], like: PyTree) -> Restored | None:
        unreadable = []
        for step in steps:
            try:
                restored = self.restore(step, like)
            except CheckpointError as error:
                unreadable.append(str(error))
                continue
            for line in unreadable:
                report(f"{line}; using the checkpoint of step {step} instead")
            return restored
        if unreadable:
            raise CheckpointError(f"{unreadable[0]}; there is no other one in {self.directory}")
        return None

    def restore(self, step: int, like: PyTree) -> Restored:
        """The checkpoint of ``step``; see `restore_newest` for ``like``.

        Raises:
          CheckpointError: if it is not there or cannot be read.
        """
        found = self._read(step, like)
        if isinstance(found, str):
            raise CheckpointError(f"the checkpoint of step {step} is unreadable: {found}")
        return found

    def prepare_to_continue(self, step: int, aside: Path) -> None:
        """Moves checkpoints after ``step``, all unreadable, ``aside``; deletes unfinished ones."""
        if jax.process_index() or not self.directory.is_dir():
            return
        for later in self.steps():
            if later > step:
                shutil.rmtree(aside / str(later), ignore_errors=True)
                aside.mkdir(exist_ok=True)
                (self.directory / str(later)).rename(aside / str(later))
        self._remove_temporary()

    def _read(self, step: int, like: PyTree) -> Restored | str:
        """The checkpoint, or why it cannot be had by one of the processes."""
        reason: str | None = None
        try:
            found = self._checkpointer.restore(
                self.directory / str(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(like), notes=ocp.args.JsonRestore()
                ),
            )
            notes = unseal(found.notes) or {}
            if not notes:
                reason = "its notes are not those that were saved"
        except Exception as error:
            reason = reason_of(error)
        reason = finding_of_any(reason)
        if reason is not None:
            return reason
        if checksum(found.state) != notes["arrays"]:
            return "its arrays are not those that were saved"
        return Restored(step, found.state, notes)

    def _fail(self, reason: str) -> None:
        step, self._saving = self._saving, None
        kept = self.steps()
        last = f"the last one is that of step {kept[-1]}" if kept else "there is none before it"
        self._failure = f"the checkpoint of step {step} could not be saved: {reason}; {last}"
        self._close()
        self._checkpointer = new_checkpointer()
        self._remove_temporary()
        if jax.process_count() > 1:
            raise CheckpointError(self._failure)

    def _close(self) -> None:
        """Ends orbax's threads; after a failed save it repeats errors that are known."""
        with contextlib.suppress(Exception):
            self._checkpointer.close()
        wait_for_threads()

    def _report_failure(self) -> None:
        if self._failure is not None:
            report(self._failure)
        self._failure = None

    def _delete_old(self) -> None:
        steps = self.steps()
        kept = set(steps[-self.keep :])
        best = self.best_step() if self.keep_best else None
        if best is not None:
            kept.add(best)
        for step in steps:
            if step not in kept:
                doomed = self.directory / f"{step}{TEMPORARY}"
                (self.directory / str(step)).rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)

    def _remove_temporary(self) -> None:
        if jax.process_index():
            return
        for path in self.directory.glob(f"*{TEMPORARY}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _held_out_loss(self, step: int) -> float | None:
        try:
            text = (self.directory / str(step) / "notes" / "metadata").read_text()
            notes = unseal(json.loads(text)) or {}
        except (OSError, ValueError):
            return None
        return notes.get("held_out_loss") if notes.get("held_out_step") == step else None


def saved_steps(directory: Path) -> list[int]:
    """The steps with a complete checkpoint in a folder, readable or not, in order."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


def new_checkpointer() -> ocp.AsyncCheckpointer:
    """Saves and restores checkpoints of several items; after a failed save it is of no more use."""
    return ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())


def seal(notes: dict[str, Any]) -> dict[str, Any]:
    """``notes`` with a checksum of their JSON text."""
    return {**notes, "notes": zlib.crc32(json.dumps(notes, sort_keys=True).encode())}


def unseal(sealed: Any) -> dict[str, Any] | None:
    """The argument of `seal`, or None where it has been changed since."""
    if not isinstance(sealed, dict):
        return None
    notes = {name: value for name, value in sealed.items() if name != "notes"}
    return notes if seal(notes) == sealed else None
