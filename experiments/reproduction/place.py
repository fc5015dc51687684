"""Where runs are made and kept, where their data are, and where tables are written."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Spec = TypeVar("Spec")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Folders."""

    runs: Path
    """A run for each experiment and a folder for each study, called like it."""
    out: Path
    """With README.md, whose tables are rewritten, results/ and pictures/."""
    data_dir: Path | None
    """Where tensorflow_datasets keeps its data; None: where it does by default."""

    def with_data(self, spec: Spec) -> Spec:
        """An experiment or a study whose data are there."""
        data: Any = getattr(spec, "data", None)
        if self.data_dir is None or not hasattr(data, "data_dir"):
            return spec
        here = dataclasses.replace(data, data_dir=str(self.data_dir))
        changed: Any = spec
        return dataclasses.replace(changed, data=here)
