"""Test settings: eight CPU devices, quick compiling, strict shapes, one key for each test."""

import gc
import os
import pathlib
import resource
import zlib

import jaxlib.version

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
# Compiling takes most of the time: programs are not optimized, and kept on disk from run to run.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0",
        # In one part, small programs compile in three quarters of the time.
        "--xla_cpu_parallel_codegen_split_count=1",
        # Without MLIR, loops compile in half the time. Later versions have no such choice.
        "--xla_cpu_use_fusion_emitters=false"
        if jaxlib.version.__version_info__ < (0, 11)
        else "--xla_cpu_opt_preset=fast_compile",
    ]
)

import jax
import numpy as np
import pytest
from budget import DEAR, Budget
from trained_runs import (  # noqa: F401
    classifier_run,
    classifier_training,
    digits_run,
    miniature,
    reproduced,
    ring_copy,
    ring_run,
    ring_training,
    small_experiments,
    tiny_run,
)
from xdist.scheduler import LoadFileScheduling

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_threefry_partitionable", True)

# Child processes, which may be killed while they write, keep nothing there.
jax.config.update("jax_enable_compilation_cache", True)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

ROOT = pathlib.Path(__file__).parent
SHARED = ROOT.parents[1] / "shared"
KEPT = ROOT / "data" / "parity"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The tests of a file stay in one process: they share what takes long to prepare."""
    return Scheduling(config, log)


class Scheduling(LoadFileScheduling):
    """All tests of experiments count as one file: they share their runs."""

    def _split_scope(self, nodeid):
        folder = "tests/experiments/"
        return folder if nodeid.startswith(folder) else super()._split_scope(nodeid)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_configure(config):
    config.pluginmanager.register(Budget(config))
    config.option.loadscopereorder = False
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("programs")))


def pytest_collection_modifyitems(config, items):
    """The dear tests come first, so that no process is left with them at the end."""
    places = {ROOT / name: place for place, name in enumerate(DEAR)}

    def place_of(item):
        return min(places.get(path, len(DEAR)) for path in (item.path, *item.path.parents))

    items.sort(key=place_of)
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --slow"))


def pytest_collection_finish():
    """Tracing makes many objects: the collector looks at them rarely, and never at the modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Drops compiled programs once they fill gigabytes, after the file of tests that did it."""
    yield
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 2_000_000:  # KiB
        jax.clear_caches()


@pytest.fixture
def key(request):
    """A key that depends on the test's name only: the same on every day and in every order."""
    return jax.random.key(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def shared():
    """The folder of reference data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the reference data folder is not beside this checkout")
    return SHARED


@pytest.fixture
def parity():
    """Opens a file that the published implementation computed, by name and without its suffix.

    It is one of those kept beside the tests, or else of the reference data; the test is skipped
    where it is in neither.
    """

    def load(name):
        for folder in (KEPT, SHARED / "parity"):
            if (folder / f"{name}.npz").is_file():
                with np.load(folder / f"{name}.npz") as file:
                    return dict(file)
        return pytest.skip(f"{name}.npz is not in the reference data beside this checkout")

    return load
