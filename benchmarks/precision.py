"""Measures what a network in bfloat16 changes in samples of trained digits.

    python -m benchmarks precision --runs RUNS

Both samplers start from the same noise and take the same steps; only the inside of the network is
rounded. A row compares the Fréchet distances to the training data, and states how far the samples
are apart. Features are those of `digits_classifier`, or pixels where RUNS lacks that run. A CPU
computes the same roundings as a GPU, and its times mean nothing.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.few_steps_trained import distance_ratio
from benchmarks.row import BenchmarkOptions, Row
from benchmarks.trained import MissingRunError, TrainedModel, as_spread, open_trained
from sde_jax.sampling import (
    DDIM,
    EulerMaruyama,
    ExponentialAdams,
    LogSNRGrid,
    LowPrecision,
    PredictorCorrector,
    Sampler,
    UniformGrid,
)

RUN = "digits_vp"
PEER = "the same in float32"
SAMPLERS: dict[str, tuple[int, Sampler]] = {
    "UniPC": (21, ExponentialAdams(grid=LogSNRGrid(steps=20))),
    "DDIM": (51, PredictorCorrector(grid=LogSNRGrid(steps=50), predictor=DDIM())),
    "Euler-Maruyama": (
        301,
        PredictorCorrector(grid=UniformGrid(steps=300), predictor=EulerMaruyama()),
    ),
}
"""Samplers with their numbers of evaluations."""


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares each sampler; if quick, the first one."""
    try:
        trained = open_trained(options, RUN)
    except MissingRunError as error:
        yield Row(case=f"{RUN}, bfloat16", unit="", peer=PEER, missing=str(error), checked="")
        return
    for method in [*SAMPLERS][:1] if options.quick else SAMPLERS:
        yield compare(trained, method, 256 if options.quick else 1024)


def compare(trained: TrainedModel, method: str, count: int) -> Row:
    """Compares samples by a network in bfloat16 with those in float32."""
    evaluations, sampler = SAMPLERS[method]
    low, exact = (
        trained.draw(one, count=count, batch_size=min(count, 512), evaluations=evaluations)
        for one in (LowPrecision(sampler=sampler), sampler)
    )
    ours, theirs = trained.distance(low), trained.distance(exact)
    unit = trained.run.layout.scaling.to_unit
    apart = np.abs(np.asarray(unit(low)) - np.asarray(unit(exact)))
    return Row(
        case=f"{RUN}, {method}, {evaluations} evaluations, Fréchet distance, bfloat16",
        unit="",
        ours=as_spread(ours),
        peer=PEER,
        theirs=as_spread(theirs),
        ratio=distance_ratio(ours, theirs),
        checked=f"{count} pairs of samples, {np.sqrt((apart**2).mean()):.1e} of the range apart "
        f"(root mean square), {np.median(apart.max(axis=(1, 2, 3))):.1e} in the worst pixel "
        "of the median image",
    )
