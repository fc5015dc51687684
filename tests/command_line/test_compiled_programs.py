import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from sde_jax.command_line.compiled_programs import keep_compiled

PROGRAM = """
import sys, warnings
import jax, jax.numpy as jnp
from sde_jax.command_line import compiled_programs, main

hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event.endswith("cache_hits")))
warnings.showwarning = main.show_warning
with compiled_programs.computing():
    print(jax.jit(lambda x: jnp.tanh(x) + 1)(jnp.zeros(3)).sum(), sum(hits))
"""


@pytest.fixture
def run(tmp_path):
    """Runs the program with a cache folder of its own, and returns its words and its complaints."""

    def run(**environment):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
        own = {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path), **environment}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=kept | own, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split(), done.stderr

    return run


def entries(folder):
    return sorted(folder.rglob("*-cache"))


@pytest.mark.slow("test_what_is_compiled_is_kept_and_found_again")
def test_what_was_compiled_is_found_again(run, tmp_path):
    (value, hits), _ = run()
    assert (value, hits) == ("3.0", "0")
    kept = entries(tmp_path)
    assert kept and all("sde_jax/compiled" in str(path) for path in kept)
    again, complaints = run()
    assert int(again[1]) == len(kept) and not complaints


@pytest.mark.slow("test_what_is_compiled_is_kept_and_found_again")
def test_what_is_damaged_is_mended(run, tmp_path):
    run()
    kept = entries(tmp_path)
    for path in kept:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    mended, complaints = run()
    assert mended == ["3.0", "0"]
    assert complaints.count("warning: Error reading persistent compilation cache") == len(kept)
    assert run() == (["3.0", str(len(kept))], "")


@pytest.mark.slow("test_what_the_user_decided_stays")
def test_the_user_decides_where(run, tmp_path):
    other = tmp_path / "other"
    run(JAX_COMPILATION_CACHE_DIR=str(other), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    assert entries(tmp_path) == entries(other) != []


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Changes JAX's settings of its cache for a test, whose cache folder is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir")
    before = {name: jax.config.values[name] for name in names}
    yield lambda *values: [jax.config.update(*pair) for pair in zip(names, values, strict=True)]
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


def test_what_is_compiled_is_kept_and_found_again(settings, tmp_path):
    """Within this process, which forgets its programs."""
    hits = []
    settings(True, None)
    reset_cache()
    keep_compiled()
    jax.monitoring.register_event_listener(count := lambda name, **_: hits.append(name))
    for found in (False, True):
        jax.clear_caches()
        hits.clear()
        jax.jit(lambda x: x + 1)(np.zeros(3, np.float32))
        assert ("/jax/compilation_cache/cache_hits" in hits) == found
    jax.monitoring.unregister_event_listener(count)
    assert entries(tmp_path) and all("sde_jax/compiled" in str(path) for path in entries(tmp_path))


@pytest.mark.parametrize(("enabled", "folder"), [(True, "mine"), (False, None)])
def test_what_the_user_decided_stays(settings, tmp_path, enabled, folder):
    settings(enabled, folder)
    keep_compiled()
    assert jax.config.jax_compilation_cache_dir == folder and not list(tmp_path.iterdir())


def test_without_a_place_for_it_there_is_none(settings, tmp_path):
    settings(True, None)
    (tmp_path / "sde_jax").write_text("a file where the folder should be")
    keep_compiled()
    assert jax.config.jax_compilation_cache_dir is None
