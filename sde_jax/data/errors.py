"""Errors of data sets."""


class BrokenImageError(ValueError):
    """An image cannot be decoded; the message names it and the reason."""


class DataNotFoundError(ValueError):
    """A data set is missing; the message says how to prepare it."""


class MixedSizesError(ValueError):
    """Images differ in size, and the spec states no common size."""
