"""A table that scikit-learn installs, available without a download."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from sde_jax.data.array_data import ArrayData
from sde_jax.data.splits import TRAIN
from sde_jax.data.tables import Table

COLUMNS = (
    *("mean radius", "mean texture", "mean perimeter", "mean area"),
    *("mean smoothness", "mean compactness", "mean symmetry", "mean fractal dimension"),
)
"""The positive means over the nuclei of an image."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BreastCancer(ArrayData):
    """Measurements of the nuclei of 569 breast masses, UCI's ``breast_cancer_wisconsin``."""

    columns: tuple[str, ...] = COLUMNS
    """Names of the columns in scikit-learn."""

    def tables(self) -> Mapping[str, Table]:
        """Reads the table from the installed scikit-learn.

        Raises:
          ValueError: if it has no such column.
        """
        from sklearn.datasets import load_breast_cancer

        known = load_breast_cancer()
        names = known.feature_names.tolist()
        unknown = [name for name in self.columns if name not in names]
        if unknown or not self.columns:
            raise ValueError(
                f"`columns` must be some of {', '.join(names)}: got {', '.join(unknown) or 'none'}"
            )
        values: np.ndarray = known.data[:, [names.index(name) for name in self.columns]]
        return {TRAIN: Table(values, (), "breast_cancer of scikit-learn", self.columns)}
