"""The place of a run's data, which may have moved."""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from sde_jax import data as data_sets
from sde_jax.arguments import UsageError, option
from sde_jax.data.errors import DataNotFoundError, MixedSizesError

Spec = TypeVar("Spec")

PLACES = ("path", "condition_path", "data_dir")
"""Fields of data that are their place."""


@dataclass(frozen=True, kw_only=True)
class DataPlace:
    """The place of a run's data where it is another than when the run was trained."""

    path: Annotated[str | None, option("PATH", "the run's")] = None
    """The folder, zip or file of the run's data, if they moved."""
    condition_path: Annotated[str | None, option("PATH", "the run's")] = None
    """The file of the conditions of the run's data, if it moved."""
    data_dir: Annotated[str | None, option("DIR", "the run's")] = None
    """The folder of prepared sets with the run's data, if they moved."""

    def of(self, data: Any, run: Path) -> Any:
        """Returns the data of a run at this place.

        Raises:
          UsageError: if they are at no such place.
        """
        given = {name: value for name in PLACES if (value := getattr(self, name)) is not None}
        for name in given:
            if not hasattr(data, name):
                raise UsageError(
                    f"{_option(name)} does not apply to {run}: its data are {type(data).__name__}."
                )
        return absolute(dataclasses.replace(data, **given)) if given else data


def absolute(spec: Spec) -> Spec:
    """Returns a spec whose paths of data and caches, where they exist, are absolute."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(spec):  # type: ignore[arg-type]
        value = getattr(spec, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = absolute(value)
        elif field.name in (*PLACES, "test_path", "folder") and isinstance(value, str):
            path = Path(value).expanduser()
            changed[field.name] = str(path.absolute()) if path.exists() else value
    return dataclasses.replace(spec, **changed)  # type: ignore[type-var]


@contextlib.contextmanager
def naming_option(data: "data_sets.DataSpec") -> Iterator[None]:
    """Adds the option to the error of data that are missing, or that differ in size."""
    try:
        yield
    except MixedSizesError as error:
        raise MixedSizesError(f"{error}. --data.image-size states it.") from None
    except DataNotFoundError as error:
        places = [name for name in PLACES if hasattr(data, name)]
        if getattr(data, "condition_path", None) is None:
            places = [name for name in places if name != "condition_path"]
        options = " or ".join(map(_option, places))
        remedy = f". {options} says where they are." if options else ""
        raise DataNotFoundError(f"{str(error).rstrip('.')}{remedy}") from None


def _option(name: str) -> str:
    return f"--data.{name.replace('_', '-')}"
