"""What can be wrong with a data set before anything is decoded."""

__all__ = ["DataNotFoundError", "MixedSizesError"]


class DataNotFoundError(ValueError):
    """A data set is not where it was looked for; the message says how to get it there."""


class MixedSizesError(ValueError):
    """Images differ in size, and no size was stated to bring them to."""
