"""How long a run was trained."""

from sde_jax.training.run_directory import RunDirectory

__all__ = ["training_seconds"]


def training_seconds(run: RunDirectory) -> float:
    """What training took, evaluating and saving included, over all interruptions."""
    lines = run.read_metrics()
    return next((line["seconds"] for line in reversed(lines) if "seconds" in line), 0.0)
