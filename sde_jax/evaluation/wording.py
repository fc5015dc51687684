"""How findings are called and written for people."""

import math
from typing import NamedTuple

__all__ = ["WORDING", "Wording", "with_error"]


class Wording(NamedTuple):
    """A metric in words."""

    title: str
    meaning: str


WORDING = {
    "frechet_distance": Wording(
        "Fréchet distance", "of the Gaussians fitted to the features; lower is better"
    ),
    "kernel_distance": Wording(
        "Kernel distance", "squared, without bias (KID): zero for data; lower is better"
    ),
    "precision": Wording("Precision", "share of samples near training data"),
    "recall": Wording("Recall", "share of training data near samples"),
    "density": Wording("Density", "training data around a sample, against what they have"),
    "coverage": Wording("Coverage", "share of training data with a sample near"),
    "inception_score": Wording("Inception Score", "clear and varied labels; higher is better"),
    "mean_max_logit": Wording(
        "Mean max logit", "how sure the classifier is; that of data is right"
    ),
    "label_entropy": Wording("Entropy of labels", "in nats, of the labels predicted"),
    "label_distance": Wording(
        "Distance of labels", "total variation from the labels of training data; lower is better"
    ),
    "unsure_share": Wording("Unsure", "share that the classifier is not sure of"),
    "closer": Wording(
        "Closer to training data",
        "probability that a sample is closer to its nearest training example than a held-out "
        "example is to its own",
    ),
    "near": Wording(
        "Very near training data",
        "share of samples nearer than the nearest hundredth of held-out examples",
    ),
    "bits_per_dim": Wording(
        "Bits per dimension", "of the test split, by an exact density; lower is better"
    ),
    "bits_per_dim_bound": Wording(
        "Bits per dimension, at most", "of the test split, by a bound; lower is better"
    ),
}
"""By the names in the record, in the order of tables."""

DECIMALS = 6


def with_error(value: float | None, stderr: float | None, sign: str = "±") -> str:
    """A number with its standard error, to two digits of the error where it is known."""
    if value is None:
        return "none"
    if not stderr:
        return f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(stderr)))
    if decimals <= DECIMALS:
        return f"{value:.{decimals}f} {sign} {stderr:.{decimals}f}"
    exponent = math.floor(math.log10(max(abs(value), stderr)))
    places = exponent + decimals
    if places > DECIMALS:
        return f"{value:.{DECIMALS}g} {sign} {stderr:.1e}"
    scale = 10.0**-exponent
    return f"({value * scale:.{places}f} {sign} {stderr * scale:.{places}f})e{exponent}"
