"""Names of the splits of a data set."""

TRAIN = "train"
"""The split of training examples."""

TEST = "test"
"""The split of held-out examples."""
