"""What can go wrong with a run; each message is one line, for the person who started it."""

__all__ = [
    "CheckpointError",
    "ConfigChangedError",
    "NonFiniteError",
    "NotARunError",
    "RunError",
    "RunExistsError",
]


class RunError(Exception):
    """A run cannot be started, continued, read or finished."""


class RunExistsError(RunError):
    """A new run would be written over files that are there already."""


class NotARunError(RunError):
    """A directory holds no run."""


class ConfigChangedError(RunError):
    """A run was to be continued with a configuration that is not its own."""


class CheckpointError(RunError):
    """None of a run's checkpoints can be read, or the last one could not be written."""


class NonFiniteError(RunError):
    """Training produced a NaN or an infinity."""
