"""Checks of hyperparameters and image sizes."""


def check_at_least(spec: object, **minima: float) -> None:
    """Raises `ValueError` if a field of ``spec`` is less than its minimum."""
    for field, minimum in minima.items():
        value = getattr(spec, field)
        if not value >= minimum:
            raise ValueError(f"`{field}` must be at least {minimum}: got {value}.")


def check_width(field: str, width: int) -> None:
    """Raises `ValueError` unless group normalization can divide ``width`` channels."""
    if width < 4 or width % 4:
        raise ValueError(
            f"`{field}` must be a multiple of 4, the least size of a normalization group: got "
            f"{width}."
        )


def check_multipliers(multipliers: tuple[int, ...]) -> None:
    """Raises `ValueError` unless there are multipliers and all are positive."""
    if not multipliers or min(multipliers) < 1:
        raise ValueError(
            f"`multipliers` must be one or more whole numbers from 1: got {multipliers}."
        )


def check_image(shape: tuple[int, ...], halvings: int, field: str) -> None:
    """Raises `ValueError` unless ``shape`` is an image that can be halved ``halvings`` times."""
    if len(shape) != 3:
        raise ValueError(
            f"examples must be images (height, width, channels): got examples of shape {shape}."
        )
    if shape[0] % 2**halvings or shape[1] % 2**halvings:
        raise ValueError(
            f"`{field}` requires a height and width divisible by {2**halvings}: got images of "
            f"{shape[0]}x{shape[1]}."
        )
