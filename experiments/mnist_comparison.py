"""MNIST: the score model, and the models that it replaced, in one table and one figure.

python -m experiments mnist_comparison

All are narrow, and trained for about a quarter of an hour of two CPU cores. A classifier says how
sure it is of samples (the mean over x of max_k logit_k(x)) and how their labels are distributed
(total variation sum_k |p_k - q_k| / 2); the Fréchet distance, precision and recall compare its
features with those of training images. Published, for 100 images of a model with a classifier of
98.91 %: real 18.95, VAE 11.18, GAN 11.02, DDPM 12.74. A large logit alone is no praise: a model
that draws one perfect digit has it, too. Look at `images.png` for the best image of each label, and
at `numbers.png` for what real images have.
"""

from experiments.studies.comparison import Comparison

study = Comparison(
    classifier="mnist_classifier",
    models=(
        ("score model (VP)", "mnist_vp_narrow"),
        ("DDPM", "mnist_ddpm_narrow"),
        ("VAE", "mnist_vae_narrow"),
        ("GAN", "mnist_gan_narrow"),
        ("RealNVP", "mnist_flow_narrow"),
        ("latent diffusion", "mnist_latent_narrow"),
        ("lower halves, given upper", "mnist_conditional_narrow"),
    ),
)
