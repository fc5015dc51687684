"""The reader of JSON files: a value, or one line that names the file."""

import json

import pytest

from sde_jax import json_files
from sde_jax.json_files import DamagedFileError, parse_json, read_json


def nested(levels):
    """A list in a list, and so on."""
    return "[" * levels + "]" * levels


def test_a_file_is_read(tmp_path):
    path = tmp_path / "file.json"
    for content in (b'{"a": [1, "\xc3\xa9"]}', b'\xef\xbb\xbf{"a": [1, "\xc3\xa9"]}'):
        path.write_bytes(content)
        assert read_json(path) == {"a": [1, "é"]}
    path.write_text(nested(json_files.DEEPEST))
    assert json.dumps(read_json(path)) == nested(json_files.DEEPEST)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is not JSON: Expecting value"),
        (b'{"a"', "it is not JSON"),
        (b"\xff\xfe\xff", "it is not JSON"),
        (b"9" * 5000, "it is not JSON"),
        (nested(json_files.DEEPEST + 1).encode(), "its JSON is nested too deeply"),
        (nested(900).encode(), "its JSON is nested too deeply"),
        (b"[" * 10**5, "its JSON is nested too deeply"),
        (b'{"a":' * 10**5, "its JSON is nested too deeply"),
    ],
    ids=range(8),
)
def test_the_file_is_named_where_it_cannot_be(tmp_path, content, complaint):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError) as error:
        read_json(path)
    assert str(error.value).startswith(f"{path} is damaged: {complaint}")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=complaint):
        parse_json(content)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "LARGEST_FILE", 10)
    path = tmp_path / "file.json"
    path.write_text("1" * 11)
    with pytest.raises(DamagedFileError, match="more than 10 bytes"):
        read_json(path)
