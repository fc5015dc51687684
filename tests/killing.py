"""Killing a process that trains, at a chosen moment."""

import contextlib
import signal
import time


def kill_when(process, condition, *, within, look=lambda: None):
    """Kills a process as soon as ``condition()`` holds, and after ``within`` seconds in any case.

    Returns whether it was killed, and had not ended by itself. Calls ``look()`` while it waits.
    """
    deadline = time.monotonic() + within
    while process.poll() is None and not condition() and time.monotonic() < deadline:
        look()
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def unfinished(folder, since=0.0):
    """Steps of the checkpoints that a run is saving or deleting, or was when it was killed.

    Only those whose folders were made or renamed after ``since``, by `time.time`.
    """
    steps = []
    for path in (folder / "checkpoints").glob("*.orbax-checkpoint-tmp*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ctime > since:
                steps.append(int(path.name.split(".")[0]))
    return sorted(steps)


def saving(folder, step=0):
    """The condition that a checkpoint of ``step`` or a later one is being saved."""
    return lambda: any(number >= step for number in unfinished(folder))
