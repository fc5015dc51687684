import errno
import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import image_process
import numpy as np
import pytest
from png_records import pictures, png_records

from sde_jax.data.image_cache import ImageCache

ROOT = Path(__file__).parents[2]
IMAGES = pictures(9)


@pytest.fixture
def cache(tmp_path):
    return ImageCache(folder=tmp_path / "cache", threads=2)


def files(cache, suffix):
    return list(cache.folder.glob(f"*{suffix}"))


def test_good_ones_in_order_and_broken_ones_by_name(cache):
    records = png_records(IMAGES, broken=[0, 5])
    broken = {0: "picture 0: cut short", 5: "picture 5: cut short"}
    assert cache.check(records) == broken and not cache.holds(records)
    for _ in range(2):
        rows, found = cache.images(records)
        assert found == broken and cache.holds(records)
        np.testing.assert_array_equal(rows, np.delete(IMAGES, [0, 5], axis=0))
        np.testing.assert_array_equal(rows[np.array([3, 0])], IMAGES[[4, 1]])
    rows, broken = cache.images(png_records(IMAGES, broken=range(9), fingerprint="broken"))
    assert len(rows) == 0 and len(broken) == 9


def test_each_fingerprint_has_its_own_file(cache):
    others = pictures(9, seed=1)
    for fingerprint, images in (("one", IMAGES), ("two/../two", others), ("one", IMAGES)):
        rows, _ = cache.images(png_records(images, fingerprint=fingerprint))
        np.testing.assert_array_equal(rows, images)
    assert len(files(cache, ".uint8")) == 2


def test_a_file_of_another_size_is_made_anew(cache):
    records = png_records(IMAGES)
    cache.images(records)
    (path,) = files(cache, ".uint8")
    os.truncate(path, path.stat().st_size - 1)
    assert not cache.holds(records)
    np.testing.assert_array_equal(cache.images(records)[0], IMAGES)


@pytest.mark.parametrize("text", ["", "5", "[]", '{"x": "y"}', '{"0": 3}', "[" * 10**5])
def test_a_damaged_list_is_made_anew(cache, text):
    records = png_records(IMAGES, broken=[0])
    cache.images(records)
    (path,) = files(cache, ".json")
    path.write_text(text)
    assert not cache.holds(records)
    assert cache.images(records)[1] == {0: "picture 0: cut short"}
    path.write_text(text)
    assert cache.check(records) == {0: "picture 0: cut short"}


def start_writer(cache):
    return subprocess.Popen(
        [sys.executable, image_process.__file__, "cache", str(cache.folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def start_to_write(cache):
    """Starts a process and waits until it writes."""
    first = start_writer(cache)
    deadline = time.monotonic() + 120
    while not files(cache, ".tmp") and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    return first


def kill(process):
    assert process.poll() is None, "the writer ended before it could be killed"
    process.kill()
    process.communicate()


def hold_to_whole(cache, records):
    assert cache.holds(records) and not files(cache, ".tmp")
    good = np.delete(image_process.IMAGES, image_process.BROKEN, axis=0)
    np.testing.assert_array_equal(cache.images(records)[0], good)


def test_a_killed_writer_leaves_nothing(cache):
    records = image_process.slow_records()
    kill(start_to_write(cache))
    assert not cache.holds(records)
    cache.images(records)
    hold_to_whole(cache, records)


@pytest.mark.slow("test_one_writes_and_the_others_wait")
def test_the_next_writer_waits_for_a_killed_one(cache):
    """The first of two processes is killed while it writes; the second makes the whole file."""
    records = image_process.slow_records()
    first = start_to_write(cache)
    second = start_writer(cache)
    kill(first)
    assert not cache.holds(records)
    _, errors = second.communicate()
    assert second.returncode == 0, errors
    hold_to_whole(cache, records)


def test_one_writes_and_the_others_wait(cache):
    """What another process holds is held here by another file descriptor."""
    records = png_records(IMAGES)
    cache.check(records)
    (lock,) = files(cache, ".lock")
    with ThreadPoolExecutor() as threads, lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        rows = threads.submit(cache.images, records)
        with pytest.raises(TimeoutError):
            rows.result(timeout=0.3)
        assert not files(cache, ".uint8") and not files(cache, ".tmp")
        fcntl.flock(file, fcntl.LOCK_UN)
        np.testing.assert_array_equal(rows.result(timeout=60)[0], IMAGES)


def test_a_full_disk_is_one_line(cache):
    records = png_records(IMAGES)
    cache.check(records)
    (about,) = files(cache, ".json")
    temporary = about.with_suffix(".uint8.tmp")
    temporary.symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        cache.images(records)
    assert caught.value.errno == errno.ENOSPC
    message = str(caught.value)
    assert "\n" not in message
    assert "No space left on device for 0.000216 MB of decoded images. Name another `folder`" in (
        message
    )
    assert str(cache.folder) in message
    assert not cache.holds(records) and not files(cache, ".tmp")
    np.testing.assert_array_equal(cache.images(records)[0], IMAGES)


def test_an_error_of_the_records_is_left_as_it_is(cache):
    class Gone(image_process.PngRecords):
        def read(self, indices):
            raise PermissionError(errno.EACCES, "no more", "picture 3")

    with pytest.raises(PermissionError, match="no more: 'picture 3'"):
        cache.images(Gone(**vars(png_records(IMAGES))))
    assert not files(cache, ".uint8") and not files(cache, ".tmp")
