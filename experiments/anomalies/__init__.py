"""How likelihoods tell sets of images apart."""
