"""Names of the built-in sets of images that a run's data are compared with."""

NOISE, PHOTOGRAPHS = "noise", "photographs"
