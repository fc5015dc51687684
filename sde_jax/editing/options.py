"""What ``sde-jax edit`` is asked."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sde_jax.arguments import Switch, UsageError, check_counts, check_seed, option
from sde_jax.editing.methods import MethodName
from sde_jax.recipes.sampler_settings import SamplerName

RestorationName = Literal["inpaint", "colorize", "superres", "deblur", "motion-deblur"]
TaskName = RestorationName | Literal["class", "interpolate", "stroke"]

MEASURING = ("method", "noise")
GIVEN = ("input", "demo", "images")
TASKS: dict[TaskName, tuple[str, ...]] = {
    "inpaint": (*GIVEN, *MEASURING, "mask"),
    "colorize": (*GIVEN, *MEASURING),
    "superres": (*GIVEN, *MEASURING, "factor", "kernel"),
    "deblur": (*GIVEN, *MEASURING, "deviation"),
    "motion-deblur": (*GIVEN, *MEASURING, "length", "angle"),
    "class": ("label", "weight", "low", "high", "classifier"),
    "interpolate": GIVEN,
    "stroke": (*GIVEN, "start"),
}
"""The options that each task has, besides those of all."""


@dataclass(frozen=True, kw_only=True)
class EditOptions:
    """Puts questions to a trained score model: draws images of a class, or with a given part, or
    between others. Writes a picture of the answers and the answers themselves (.npz)."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directory of a score model of images."""
    task: TaskName
    """inpaint: some pixels are known; colorize: the grey is; superres: means over squares;
    deblur, motion-deblur: a blurred image; class: images of a class; interpolate: what lies between
    two images; stroke: images like a coarse painting."""
    input: Annotated[Path | None, option("IMAGES", "none; or --demo")] = None
    """What is given: a picture, a folder or a zip of them, or an array in [0, 1] (.npy, .npz). For
    superres small ones, for interpolate two or more."""
    demo: Switch = False
    """Ask about held-out images of the run's own data, of which the truth is known."""
    images: Annotated[int | None, option("INT", "4")] = None
    """Held-out images of --demo."""
    mask: Annotated[Path | None, option("MASK", "with --demo, masks are drawn")] = None
    """White where pixels are known: a picture, or an array of 1 and 0; inpaint only."""
    method: Annotated[MethodName | None, option("NAME", "pigdm")] = None
    """pigdm, ddnm, dps: guidance of the score, by any sampler; replacement, repaint: known data in
    each step, for inpaint and colorize."""
    noise: Annotated[float | None, option("FLOAT", "0")] = None
    """Deviation of the noise of what is measured, for values in [0, 1]."""
    factor: Annotated[int | None, option("INT", "4")] = None
    """How many times smaller the given images are; superres only."""
    kernel: Annotated[Literal["block", "bicubic"] | None, option("NAME", "block")] = None
    """How they were made smaller; superres only."""
    deviation: Annotated[float | None, option("FLOAT", "1 in 16 pixels")] = None
    """Deviation of the Gaussian that blurs, in pixels; deblur only."""
    length: Annotated[float | None, option("FLOAT", "a quarter of the image")] = None
    """Length of the motion in pixels; motion-deblur only."""
    angle: Annotated[float | None, option("FLOAT", "45")] = None
    """Its angle, in degrees from the horizontal; motion-deblur only."""
    label: Annotated[int | None, option("INT", "every one")] = None
    """The class; class only."""
    weight: Annotated[float | None, option("FLOAT", "1; 0 without a classifier: plain")] = None
    """Guidance: 0 is plainly conditional without a classifier; with one, its scale."""
    low: Annotated[float | None, option("FLOAT", "0")] = None
    """The least t that is guided; class only, without a classifier."""
    high: Annotated[float | None, option("FLOAT", "1")] = None
    """The greatest."""
    classifier: Annotated[Path | None, option("RUN", "the network's own labels")] = None
    """The run of a noise-conditional classifier, to guide by; class only."""
    start: Annotated[float | None, option("FLOAT", "0.5")] = None
    """The time, from 0 to 1, to which a painting is noised; stroke only."""
    count: int = 4
    """Answers to each question; images between two, for interpolate."""
    sampler: Annotated[SamplerName | None, option("NAME", "the method's own")] = None
    """As of `sample`."""
    steps: Annotated[int | None, option("INT", "the method's own")] = None
    """Steps of the sampler."""
    seed: int = 0
    """Answer j is a function of the seed and j."""
    batch_size: int = 256
    """Answers drawn at once; an answer does not depend on it."""
    out: Annotated[Path | None, option("FILE", "a name in RUN/edits that says how")] = None
    """The .png file, which must not exist; the answers go beside it."""

    def __post_init__(self) -> None:
        check_counts(images=self.images, count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)
        self._check_options()
        given = "input" in TASKS[self.task]
        if given and (self.input is None) == (not self.demo):
            raise UsageError(f"--task {self.task} needs --input IMAGES or --demo, one of them.")
        if self.task == "inpaint" and self.mask is None and not self.demo:
            raise UsageError("--task inpaint needs --mask MASK, or --demo, which draws masks.")
        if self.images is not None and not self.demo:
            raise UsageError("--images is for --demo.")
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise UsageError(f"--noise must be finite and not negative: got {self.noise}.")
        if self.weight is not None and not math.isfinite(self.weight):
            raise UsageError(f"--weight must be finite: got {self.weight}.")
        low, high = self.interval
        if not 0 <= low <= high <= 1:
            raise UsageError(f"--low and --high must rise within [0, 1]: got {low} and {high}.")
        if self.start is not None and not 0 < self.start <= 1:
            raise UsageError(f"--start must be in (0, 1]: got {self.start}.")
        if self.classifier is not None and (self.low, self.high) != (None, None):
            raise UsageError("--low and --high are for guidance without --classifier.")

    @property
    def demonstrated(self) -> int:
        """How many held-out images --demo asks about."""
        return 4 if self.images is None else self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The least and the greatest t that is guided."""
        return self.low or 0.0, 1.0 if self.high is None else self.high

    def _check_options(self) -> None:
        optional = {name for names in TASKS.values() for name in names}
        for name in sorted(optional - set(TASKS[self.task])):
            if getattr(self, name) not in (None, False):
                raise UsageError(f"--{name} does not apply to --task {self.task}.")
