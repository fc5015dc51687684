"""Data sets: their specs, their sources of batches, and their scaling."""

from sde_jax.data.array_file import ArrayFile, held_out_splits
from sde_jax.data.array_source import ArraySource
from sde_jax.data.degradation import Degradation, Grey, Half, Smaller
from sde_jax.data.digits import Digits
from sde_jax.data.encoded_records import EncodedRecords
from sde_jax.data.errors import BrokenImageError, DataNotFoundError, MixedSizesError
from sde_jax.data.folder import Folder
from sde_jax.data.picture_files import open_files
from sde_jax.data.preprocessing import Preprocessing
from sde_jax.data.row_source import RowSource
from sde_jax.data.rows import DeviceRows
from sde_jax.data.scaling import ImageScaling, PointScaling, Scaling
from sde_jax.data.source import (
    ENDLESS,
    TEST,
    TRAIN,
    Batch,
    DataSource,
    DataSpec,
    Layout,
    check_request,
)
from sde_jax.data.storage import Storage
from sde_jax.data.stored_images import StoredImages
from sde_jax.data.synthetic import (
    Checkerboard,
    Distribution,
    GaussianMixture,
    Ring,
    SwissRoll,
)
from sde_jax.data.tfds import TfdsImages

__all__ = [
    "ENDLESS",
    "TEST",
    "TRAIN",
    "ArrayFile",
    "ArraySource",
    "Batch",
    "BrokenImageError",
    "Checkerboard",
    "DataNotFoundError",
    "DataSource",
    "DataSpec",
    "Degradation",
    "DeviceRows",
    "Digits",
    "Distribution",
    "EncodedRecords",
    "Folder",
    "GaussianMixture",
    "Grey",
    "Half",
    "ImageScaling",
    "Layout",
    "MixedSizesError",
    "PointScaling",
    "Preprocessing",
    "Ring",
    "RowSource",
    "Scaling",
    "Smaller",
    "Storage",
    "StoredImages",
    "SwissRoll",
    "TfdsImages",
    "check_request",
    "held_out_splits",
    "open_files",
]
