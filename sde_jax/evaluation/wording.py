"""Names and numbers of findings as text, and Markdown tables."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Wording(NamedTuple):
    """Title and explanation of a metric."""

    title: str
    meaning: str


WORDING = {
    "frechet_distance": Wording(
        "Fréchet distance", "between Gaussians fitted to the features; lower is better"
    ),
    "kernel_distance": Wording(
        "Kernel distance", "squared and unbiased (KID); zero for real data; lower is better"
    ),
    "precision": Wording("Precision", "share of samples near training data"),
    "recall": Wording("Recall", "share of training data near samples"),
    "density": Wording("Density", "training data around a sample; one for real data"),
    "coverage": Wording("Coverage", "share of training data with a sample nearby"),
    "inception_score": Wording("Inception Score", "clear and varied labels; higher is better"),
    "mean_max_logit": Wording(
        "Mean max logit", "confidence of the classifier; should equal that of real data"
    ),
    "label_entropy": Wording("Entropy of labels", "entropy of the predicted labels, in nats"),
    "label_distance": Wording(
        "Distance of labels",
        "total variation distance from the labels of training data; lower is better",
    ),
    "unsure_share": Wording("Unsure", "share that the classifier is unsure of"),
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
        "Bits per dimension", "exact density of the test split; lower is better"
    ),
    "nats": Wording("Log density", "of the test split, in nats of the data; higher is better"),
    "nats_bound": Wording(
        "Log density, at least", "lower bound for the test split, in nats; higher is better"
    ),
    "bits_per_dim_bound": Wording(
        "Bits per dimension, at most", "upper bound for the test split; lower is better"
    ),
}
"""Wordings by the names in the record, in the order of tables."""

DECIMALS = 6


def with_error(value: float | None, stderr: float | None, sign: str = "±") -> str:
    """Formats a number with its standard error, rounded to two digits of a known error."""
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


def notes(finding: Mapping[str, Any]) -> list[str]:
    """Returns notes on a finding: its expected value, number of examples, test, ranks, failures."""
    counts = " and ".join("unknown" if n is None else f"{n:,}" for n in finding["counts"])
    found = [f"{counts} examples"]
    if finding["expected"] is not None:
        found.insert(0, f"{finding['expected']:.3g} expected for equal distributions")
    if finding.get("z") is not None:
        found.append(f"z = {finding['z']:.1f}, p = {finding['p_value']:.2g}")
    if finding.get("rank_deficient"):
        ranks = " and ".join(map(str, finding["ranks"]))
        found.append(f"ranks {ranks} of {finding['dimension']}")
    if finding.get("failed"):
        found.append(f"{len(finding['failed'])} failed")
    return found


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table whose first column names the rows."""
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
