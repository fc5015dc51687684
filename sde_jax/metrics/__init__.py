"""Metrics of points, features and images."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.metrics.calibration import (
        Calibration as Calibration,
        simulation_based_calibration as simulation_based_calibration,
    )
    from sde_jax.metrics.classification import (
        InceptionScore as InceptionScore,
        inception_score as inception_score,
    )
    from sde_jax.metrics.distances import largest_distance as largest_distance
    from sde_jax.metrics.estimate import (
        Estimate as Estimate,
        jackknife_stderr as jackknife_stderr,
        mean_estimate as mean_estimate,
    )
    from sde_jax.metrics.frechet import (
        FittedGaussian as FittedGaussian,
        FrechetDistance as FrechetDistance,
        finite_sample_bias as finite_sample_bias,
        fit_gaussian as fit_gaussian,
        frechet_distance as frechet_distance,
    )
    from sde_jax.metrics.inception import (
        Inception as Inception,
        InceptionFeatures as InceptionFeatures,
    )
    from sde_jax.metrics.kernel import kernel_distance as kernel_distance
    from sde_jax.metrics.manifold import (
        DensityCoverage as DensityCoverage,
        PrecisionRecall as PrecisionRecall,
        density_coverage as density_coverage,
        precision_recall as precision_recall,
    )
    from sde_jax.metrics.memorization import (
        Closeness as Closeness,
        Memorization as Memorization,
        closeness as closeness,
        detect_memorization as detect_memorization,
    )
    from sde_jax.metrics.moments import (
        Moments as Moments,
        StreamingMoments as StreamingMoments,
        moments_of as moments_of,
    )
    from sde_jax.metrics.nearest import Nearest as Nearest, nearest_neighbours as nearest_neighbours
    from sde_jax.metrics.predictions import (
        LabelDistance as LabelDistance,
        Predicted as Predicted,
        Predictions as Predictions,
        compare_predictions as compare_predictions,
        expected_label_distance as expected_label_distance,
    )
    from sde_jax.metrics.preprocessing_names import InceptionPreprocessing as InceptionPreprocessing
    from sde_jax.metrics.restoration import psnr as psnr, ssim as ssim
    from sde_jax.metrics.roc import (
        RocCurve as RocCurve,
        roc_area as roc_area,
        roc_curve as roc_curve,
    )
    from sde_jax.metrics.two_sample import classifier_two_sample as classifier_two_sample
    from sde_jax.metrics.wasserstein import (
        sliced_wasserstein_2 as sliced_wasserstein_2,
        wasserstein_1 as wasserstein_1,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
