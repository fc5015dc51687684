"""The models that score models are judged beside, and models built of a score model and another."""
