"""Handwritten digits (8x8): the score model, and the models that it replaced, side by side.

python -m experiments digits_comparison

What to look at is in `mnist_comparison`.
"""

from experiments.studies.comparison import Comparison

study = Comparison(
    classifier="digits_classifier",
    models=(
        ("score model (VP)", "digits_vp"),
        ("DDPM", "digits_ddpm"),
        ("VAE", "digits_vae"),
        ("GAN", "digits_gan"),
        ("RealNVP", "digits_flow"),
        ("latent diffusion", "digits_latent"),
        ("lower halves, given upper", "digits_conditional"),
    ),
)
