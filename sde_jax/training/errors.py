"""Errors of runs; each message is one line for the person who started the run."""


class RunError(Exception):
    """A run cannot be started, continued, read or finished."""


class RunExistsError(RunError):
    """A new run would overwrite existing files."""


class NotARunError(RunError):
    """A directory contains no run."""


class ConfigChangedError(RunError):
    """A run was resumed with a different configuration."""


class CheckpointError(RunError):
    """No checkpoint of a run can be read, or the last one could not be written."""


class NonFiniteError(RunError):
    """Training produced a NaN or an infinity."""


class UnsavedError(CheckpointError):
    """A checkpoint could not be written."""
