"""Checks of image sizes."""


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
