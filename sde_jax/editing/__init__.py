"""Questions that are put to a trained score model, and its answers."""
