"""Checkpoints: written in the background, atomically, and verified by checksums when read.

The directory is managed here and not by orbax's ``CheckpointManager``. That one deletes checkpoints
in place, so that a kill can leave a part of one under its name. After a failed save it forgets the
existing checkpoints and ignores a retry. It reads losses from an item that stored runs lack.
"""

import contextlib
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.utils import TMP_DIR_SUFFIX

from sde_jax.arrays import PyTree
from sde_jax.json_files import read_json
from sde_jax.reporting import report
from sde_jax.training.errors import CheckpointError, UnsavedError
from sde_jax.training.fingerprint import checksum, described
from sde_jax.training.orbax_noise import reason_of, text_of, wait_for_threads, without_orbax_noise
from sde_jax.training.processes import first_error
from sde_jax.validation import fits


class Restored(NamedTuple):
    """The contents of a checkpoint."""

    step: int
    """Updates made before it was written."""

    state: PyTree
    """The arrays, with the requested shardings."""

    notes: dict[str, Any]
    """The JSON object stored with the arrays."""


class Checkpoints:
    """The checkpoints in ``directory``, each in a folder named by its step.

    A folder contains orbax's items: ``state`` (the arrays) and ``notes/metadata`` (a JSON object of
    the caller's notes, a checksum of the arrays and a checksum of the object itself). It appears
    under its name once it is complete. Use as a context manager: leaving it waits for the pending
    save.

    Args:
      directory: the folder of the checkpoints; the first save creates it.
      keep: the number of newest checkpoints to keep.
      keep_best: also keep the one with the lowest ``notes["held_out_loss"]`` of its own step.
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

    def __exit__(self, *error: object) -> None:
        self.settle()
        self._report_failure()
        self._close()
        self._context.close()

    def steps(self) -> list[int]:
        """Returns the steps of all complete checkpoints, readable or not, in order."""
        return saved_steps(self.directory)

    def best_step(self) -> int | None:
        """Returns the step with the lowest held-out loss of those evaluated when saved."""
        losses = {}
        for step in self.steps():
            notes = self._stored_notes(step)
            if notes.get("held_out_step") == step and fits(notes.get("held_out_loss"), float):
                losses[step] = notes["held_out_loss"]
        return min(losses, key=losses.__getitem__, default=None)

    def save(self, step: int, state: PyTree, notes: dict[str, Any]) -> None:
        """Starts to write ``state`` and ``notes`` (for JSON); returns once the arrays are copied.

        It waits for the previous save and reports a failure of that one on stderr. Only `wait`
        raises a failure, which costs no earlier checkpoint. With several processes this raises at
        once, since the others wait for the part of each.
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
            self._fail(text_of(error))

    def settle(self) -> None:
        """Waits for the pending save and deletes old checkpoints; does not report a failure."""
        if self._saving is None:
            return
        try:
            self._checkpointer.wait_until_finished()
        except Exception as error:
            self._fail(text_of(error))
            return
        self._saving = None
        if jax.process_index() == 0:
            self._delete_old()

    def wait(self) -> None:
        """Waits until the last save is on disk.

        Raises:
          CheckpointError: if it failed, in any process.
        """
        self.settle()
        failure, self._failure = first_error(self._failure), None
        if failure is not None:
            raise UnsavedError(failure)

    def restore_newest(self, like: PyTree) -> Restored | None:
        """Returns the newest readable checkpoint, or None if there are no checkpoints.

        A checkpoint that cannot be read, or whose arrays differ from those written, is reported in
        a line on stderr.

        Args:
          like: the state's `jax.ShapeDtypeStruct`s with the shardings to restore to.

        Raises:
          CheckpointError: if there are checkpoints and none can be read.
        """
        return self._restore_first(self.steps()[::-1], like)

    def restore_best(self, like: PyTree) -> Restored | None:
        """Returns the checkpoint of `best_step`, or else as `restore_newest`.

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
        """Returns the checkpoint of ``step``; see `restore_newest` for ``like``.

        Raises:
          CheckpointError: if it does not exist or cannot be read, in any process.
        """
        reason: str | None = None
        try:
            found = self._checkpointer.restore(
                self.directory / str(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(like), notes=ocp.args.JsonRestore()
                ),
            )
            notes = unseal(found.notes)
            if not notes:
                reason = "its notes are not those that were saved"
        except Exception as error:
            reason = self._misfit(step, like) or reason_of(error)
        reason = first_error(reason)
        if reason is None and checksum(found.state) != notes.get("arrays"):
            changed = "its arrays are not those that were saved"
            reason = self._misfit(step, like) or changed
        if reason is not None:
            raise CheckpointError(f"the checkpoint of step {step} is unreadable: {reason}")
        return Restored(step, found.state, notes)

    def prepare_to_continue(self, step: int, aside: Path) -> None:
        """Moves the unreadable checkpoints after ``step`` to ``aside``; deletes unfinished ones."""
        if jax.process_index() or not self.directory.is_dir():
            return
        for later in self.steps():
            if later > step:
                shutil.rmtree(aside / str(later), ignore_errors=True)
                aside.mkdir(exist_ok=True)
                (self.directory / str(later)).rename(aside / str(later))
        self._remove_temporary()

    def _misfit(self, step: int, like: PyTree) -> str | None:
        """Returns how the stored arrays differ from ``like`` in name, shape or type, if known.

        They are converted to its types when they are read, which changes their checksum.
        """
        try:
            folder = self.directory / str(step) / "state"
            stored = described(ocp.StandardCheckpointHandler().metadata(folder).tree)
        except Exception:
            return None
        wanted = described(like)
        names = [name for name in {**wanted, **stored} if wanted.get(name) != stored.get(name)]
        if not names:
            return None
        there, here = (of.get(names[0], "missing") for of in (stored, wanted))
        others = f", as do {len(names) - 1} others" if names[1:] else ""
        return f"`{names[0]}` differs: it is {there} there and {here} here{others}"

    def _fail(self, reason: str) -> None:
        step, self._saving = self._saving, None
        left = self.steps()
        last = f"the last one is that of step {left[-1]}" if left else "there is none before it"
        self._failure = f"the checkpoint of step {step} could not be saved: {reason}; {last}"
        self._close()
        self._checkpointer = new_checkpointer()
        self._remove_temporary()
        if jax.process_count() > 1:
            raise UnsavedError(self._failure)

    def _close(self) -> None:
        """Ends orbax's threads; after a failed save it would raise the known error again."""
        with contextlib.suppress(Exception):
            self._checkpointer.close()
        wait_for_threads()

    def _report_failure(self) -> None:
        if self._failure is not None:
            report(self._failure)
        self._failure = None

    def _delete_old(self) -> None:
        """Deletes checkpoints under a temporary name, which `prepare_to_continue` clears."""
        steps = self.steps()
        kept = {*steps[-self.keep :], self.best_step() if self.keep_best else None}
        for step in steps:
            if step not in kept:
                doomed = self.directory / f"{step}{TMP_DIR_SUFFIX}"
                (self.directory / str(step)).rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)

    def _remove_temporary(self) -> None:
        if jax.process_index() == 0:
            for path in self.directory.glob(f"*{TMP_DIR_SUFFIX}*"):
                shutil.rmtree(path, ignore_errors=True)

    def _stored_notes(self, step: int) -> dict[str, Any]:
        try:
            return unseal(read_json(self.directory / f"{step}/notes/metadata"))
        except (OSError, ValueError):
            return {}


def saved_steps(directory: Path) -> list[int]:
    """Returns the steps of all complete checkpoints in a folder, readable or not, in order."""
    if not directory.is_dir():
        return []
    names = [path.name for path in directory.iterdir() if path.is_dir()]
    return sorted(int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name))


def new_checkpointer() -> ocp.AsyncCheckpointer:
    """Builds a checkpointer of several items; it cannot be used after a failed save."""
    return ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())


def seal(notes: dict[str, Any]) -> dict[str, Any]:
    """Returns ``notes`` with a checksum of their JSON text."""
    return {**notes, "notes": zlib.crc32(json.dumps(notes, sort_keys=True).encode())}


def unseal(sealed: Any) -> dict[str, Any]:
    """Returns the argument of `seal`, or an empty dict if the result was changed since."""
    if not isinstance(sealed, dict):
        return {}
    notes = {name: value for name, value in sealed.items() if name != "notes"}
    return notes if seal(notes) == sealed else {}
