"""MNIST: the score model, and the models that it replaced, at their full sizes.

python -m experiments mnist_full_comparison

Every model trains for about a hundred epochs, as published, which needs a GPU: not run yet. What
to look at is in `mnist_comparison`, which compares their narrow forms.
"""

from experiments.studies.comparison import Comparison

study = Comparison(
    classifier="mnist_classifier",
    models=(
        ("score model (VP)", "mnist_vp"),
        ("DDPM", "mnist_ddpm"),
        ("VAE", "mnist_vae"),
        ("GAN", "mnist_gan"),
        ("RealNVP", "mnist_flow"),
        ("latent diffusion", "mnist_latent"),
        ("lower halves, given upper", "mnist_conditional"),
    ),
)
