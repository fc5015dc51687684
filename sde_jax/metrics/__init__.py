"""Metrics of points, features and images."""

from sde_jax.metrics.classification import InceptionScore, inception_score
from sde_jax.metrics.distances import largest_distance
from sde_jax.metrics.estimate import Estimate, jackknife_stderr, mean_estimate
from sde_jax.metrics.frechet import (
    FittedGaussian,
    FrechetDistance,
    finite_sample_bias,
    fit_gaussian,
    frechet_distance,
)
from sde_jax.metrics.inception import Inception, InceptionFeatures
from sde_jax.metrics.inception_images import InceptionPreprocessing
from sde_jax.metrics.kernel import kernel_distance
from sde_jax.metrics.memorization import Closeness, Memorization, closeness, detect_memorization
from sde_jax.metrics.moments import Moments, StreamingMoments, moments_of
from sde_jax.metrics.nearest import Nearest, nearest_neighbours
from sde_jax.metrics.precision_recall import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    precision_recall,
)
from sde_jax.metrics.predictions import (
    LabelDistance,
    Predicted,
    Predictions,
    compare_predictions,
    expected_label_distance,
)
from sde_jax.metrics.restoration import psnr, ssim
from sde_jax.metrics.roc import RocCurve, roc_area, roc_curve
from sde_jax.metrics.wasserstein import sliced_wasserstein_2, wasserstein_1

__all__ = [
    "Closeness",
    "DensityCoverage",
    "Estimate",
    "FittedGaussian",
    "FrechetDistance",
    "Inception",
    "InceptionFeatures",
    "InceptionPreprocessing",
    "InceptionScore",
    "LabelDistance",
    "Memorization",
    "Moments",
    "Nearest",
    "PrecisionRecall",
    "Predicted",
    "Predictions",
    "RocCurve",
    "StreamingMoments",
    "closeness",
    "compare_predictions",
    "density_coverage",
    "detect_memorization",
    "expected_label_distance",
    "finite_sample_bias",
    "fit_gaussian",
    "frechet_distance",
    "inception_score",
    "jackknife_stderr",
    "kernel_distance",
    "largest_distance",
    "mean_estimate",
    "moments_of",
    "nearest_neighbours",
    "precision_recall",
    "psnr",
    "roc_area",
    "roc_curve",
    "sliced_wasserstein_2",
    "ssim",
    "wasserstein_1",
]
