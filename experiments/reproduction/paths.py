"""Folders of runs, data and tables."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Spec = TypeVar("Spec")


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Folders that a reproduction reads and writes."""

    runs: Path
    """Folder of runs and studies; each has the subfolder of its name."""
    out: Path
    """Folder whose README.md, results/ and pictures/ are rewritten."""
    data_dir: Path | None
    """Folder of prepared data sets of tensorflow_datasets; None stands for its default."""

    def with_data(self, spec: Spec) -> Spec:
        """Returns an experiment or a study that reads its data from `data_dir`."""
        data: Any = getattr(spec, "data", None)
        if self.data_dir is None or not hasattr(data, "data_dir"):
            return spec
        here = dataclasses.replace(data, data_dir=str(self.data_dir))
        changed: Any = spec
        return dataclasses.replace(changed, data=here)
