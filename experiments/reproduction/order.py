"""Names of the experiments and studies of experiments/README.md, in its order."""

from experiments.studies.study import Study
from sde_jax.runs import definitions

FULL_SIZE = (
    *("mnist_vp", "mnist_ddpm", "mnist_vae", "mnist_gan", "mnist_flow", "mnist_latent"),
    *("mnist_conditional", "mnist_full_comparison", "cifar10_vp", "cifar10_subvp", "cifar10_ve"),
    *("flowers_vp", "flowers_colour", "flowers_samplers"),
)
"""Names that take days on CPU cores. Without a GPU they run only when they are named."""

ORDER = (
    *("digits_forward", "forward"),
    *("ring", "ring_sliced", "ring_implicit", "ring_matching"),
    *("series", "field_2d", "volume", "table"),
    *("two_moons", "slcp", "gaussian_linear_uniform", "gaussian_mixture"),
    *("digits_classifier", "quickstart", "digits_vp", "digits_subvp", "digits_ve"),
    *("digits_flow_matching", "digits_bits", "digits_dequantizer", "digits_ddpm"),
    *("digits_samplers", "digits_protocols", "digits_nearest", "digits_sliced"),
    "digits_matching",
    *("digits_denoiser_prior", "digits_vae", "digits_gan", "digits_flow", "digits_latent"),
    *("digits_conditional", "digits_student", "digits_comparison"),
    *("mnist_classifier", "mnist_vp_narrow", "mnist_bits_narrow", "mnist_ddpm_narrow"),
    *("samplers", "mnist_nearest"),
    *("mnist_sliced", "mnist_matching", "mnist_denoiser_prior", "mnist_vae_narrow"),
    *("mnist_gan_narrow", "mnist_flow_narrow", "mnist_latent_narrow", "mnist_conditional_narrow"),
    "mnist_comparison",
    *("flowers_narrow", "flowers_colour_narrow", "flowers_narrow_samplers"),
    *FULL_SIZE,
)


def study_names() -> list[str]:
    """Returns the names of the studies, in alphabetical order."""
    return [definition.name for definition in definitions() if definition.is_study]


def find_study(name: str) -> Study:
    """Builds the study of one of `study_names`."""
    (definition,) = (one for one in definitions() if one.is_study and one.name == name)
    return definition.value()
