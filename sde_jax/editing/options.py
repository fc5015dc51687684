"""The options of ``sde-jax edit``."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sde_jax.arguments import Switch, UsageError, check_counts, check_seed, option
from sde_jax.recipes.sampler_settings import SamplerName
from sde_jax.runs.data_place import DataPlace
from sde_jax.validation import LARGEST

RestorationName = Literal["inpaint", "colorize", "superres", "deblur", "motion-deblur"]
MethodName = Literal["replacement", "repaint", "ddnm", "pigdm", "dps"]
DEFAULT: MethodName = "pigdm"
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
    """Solves inverse problems with a trained score model: draws images of a class, with a given
    part, or between others. Writes a picture of the answers and the answers themselves (.npz)."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run directory of a score model of images."""
    task: TaskName
    """inpaint: some pixels are known; colorize: the grey is known; superres: means over squares are
    known; deblur, motion-deblur: a blurred image is known; class: images of a class; interpolate:
    images between two others; stroke: images like a coarse painting."""
    input: Annotated[Path | None, option("IMAGES", "none; or --demo")] = None
    """The given images: a picture, a folder or a zip of them, or an array in [0, 1] (.npy, .npz).
    superres takes small ones, interpolate two or more."""
    demo: Switch = False
    """Use held-out images of the run's own data, whose truth is known."""
    images: int = 4
    """Held-out images of --demo."""
    mask: Annotated[Path | None, option("MASK", "with --demo, masks are drawn")] = None
    """White, opaque or 1 where pixels are known: a picture or an array, or as many as there are
    images, paired by name or in order; inpaint only."""
    method: MethodName = DEFAULT
    """pigdm, ddnm, dps: guidance of the score, by any sampler; replacement, repaint: known data in
    each step, for inpaint and colorize."""
    noise: float = 0.0
    """Deviation of the measurement's noise, for values in [0, 1]."""
    factor: int = 4
    """Factor by which the given images are smaller; superres only."""
    kernel: Literal["block", "bicubic"] = "block"
    """Kernel that made them smaller; superres only."""
    deviation: Annotated[float | None, option("FLOAT", "1 in 16 pixels")] = None
    """Deviation of the Gaussian that blurs, in pixels; deblur only."""
    length: Annotated[float | None, option("FLOAT", "a quarter of the image")] = None
    """Length of the motion in pixels; motion-deblur only."""
    angle: float = 45.0
    """Its angle, in degrees from the horizontal; motion-deblur only."""
    label: Annotated[int | None, option("INT", "every one")] = None
    """The class; class only."""
    weight: float = 1.0
    """Weight of the guidance, class only: without a classifier, 0 is plainly conditional; with one,
    its scale."""
    low: float = 0.0
    """The least t that is guided; class only, without a classifier."""
    high: float = 1.0
    """The greatest t that is guided; class only, without a classifier."""
    classifier: Annotated[Path | None, option("RUN", "the network's own labels")] = None
    """The run of a noise-conditional classifier, to guide by; class only."""
    start: float = 0.5
    """The time, from 0 to 1, to which a painting is noised; stroke only."""
    count: int = 4
    """Answers to each measurement; images between two, for interpolate."""
    sampler: Annotated[SamplerName | None, option("NAME", "the method's own")] = None
    """The sampler, one of those of `sample`."""
    steps: Annotated[int | None, option("INT", "the method's own")] = None
    """Steps of the sampler."""
    seed: int = 0
    """Answer j is a function of the seed and j."""
    data: DataPlace = DataPlace()
    batch_size: int = 256
    """Answers drawn at once; an answer does not depend on it."""
    out: Annotated[Path | None, option("FILE", "a name in RUN/edits that says how")] = None
    """The .png file, which must not exist; the answers go beside it."""

    def __post_init__(self) -> None:
        check_counts(images=self.images, count=self.count, batch_size=self.batch_size)
        check_seed(self.seed)
        changed = self._changed()
        for name in sorted(changed - set(TASKS[self.task])):
            raise UsageError(f"--{name} does not apply to --task {self.task}.")
        given = "input" in TASKS[self.task]
        if given and (self.input is None) == (not self.demo):
            raise UsageError(f"--task {self.task} needs --input IMAGES or --demo, one of them.")
        if self.task == "inpaint" and self.mask is None and not self.demo:
            raise UsageError("--task inpaint needs --mask MASK, or --demo, which draws masks.")
        if "images" in changed and not self.demo:
            raise UsageError("--images is for --demo.")
        if not 0 <= self.noise < math.inf:
            raise UsageError(f"--noise must be finite and not negative: got {self.noise}.")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not abs(value) <= LARGEST:
                raise UsageError(f"--{field.name} must be finite: got {value}.")
        if not 0 <= self.low <= self.high <= 1:
            interval = f"{self.low} and {self.high}"
            raise UsageError(f"--low and --high must rise within [0, 1]: got {interval}.")
        if not 0 < self.start <= 1:
            raise UsageError(f"--start must be in (0, 1]: got {self.start}.")
        if self.classifier is not None and not changed.isdisjoint(("low", "high")):
            raise UsageError("--low and --high are for guidance without --classifier.")

    def _changed(self) -> set[str]:
        """Returns the options of single tasks that differ from their defaults."""
        optional = {name for names in TASKS.values() for name in names}
        return {
            field.name
            for field in dataclasses.fields(self)
            if field.name in optional and getattr(self, field.name) != field.default
        }
