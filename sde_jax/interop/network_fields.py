"""The names of network options in the reference and here."""

__all__ = ["NETWORK_FIELDS"]

NETWORK_FIELDS = {
    "nf": "channels",
    "ch_mult": "multipliers",
    "num_res_blocks": "blocks_per_level",
    "attn_resolutions": "attention_resolutions",
    "dropout": "dropout",
    "nonlinearity": "activation",
    "resamp_with_conv": "resample_with_convolution",
    "conditional": "conditional",
    "centered": "centered",
    "scale_by_sigma": "scale_by_sigma",
    "sigma_min": "sigma_min",
    "sigma_max": "sigma_max",
    "num_scales": "num_scales",
    "embedding_type": "embedding",
    "fourier_scale": "fourier_scale",
    "resblock_type": "block",
    "progressive_input": "progressive_input",
    "progressive": "progressive_output",
    "progressive_combine": "combine",
    "skip_rescale": "skip_rescale",
    "init_scale": "init_scale",
}
"""Fields of `NCSNppSpec`, and mostly of `DDPMSpec`, by the names of the reference."""
