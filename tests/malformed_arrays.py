"""Malformed files of arrays and pictures, as bytes by name."""

import io
import struct
import zipfile
import zlib

import numpy as np
import PIL.Image


def saved(array, **options):
    """An .npy file of an array."""
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def headed(shape, dtype="'<f8'"):
    """An .npy file of a header with this text as its shape, and no data."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


def zipped(content, name="samples.npy", method=zipfile.ZIP_DEFLATED):
    """A zip of one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def patched(archive, local, central, value):
    """A zip whose local and central headers of its one file hold other bytes at these places."""
    changed, directory = bytearray(archive), archive.index(b"PK\1\2")
    for place in (local, directory + central):
        changed[place : place + len(value)] = value
    return bytes(changed)


def encrypted(archive):
    """A zip that says that its file is encrypted."""
    return patched(archive, 6, 8, b"\1")


def overwritten(content):
    """A file with twenty other bytes in it."""
    return content[:80] + bytes([255] * 20) + content[100:]


def arrays():
    """Files that hold no array of 8x8x3 numbers in [0, 1], and words of the complaint."""
    whole = saved(np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32))
    archive = zipped(whole)
    two = io.BytesIO()
    np.savez(two, a=np.zeros((8, 8, 3)), b=np.ones((8, 8, 3)))
    objects = saved(np.array([{}]), allow_pickle=True)
    return {
        "encrypted.npz": (encrypted(archive), "is encrypted, password required"),
        "method.npz": (patched(archive, 8, 10, b"\x61\0"), "compression method is not supported"),
        "deflate.npz": (overwritten(archive), "cannot be read"),
        "bzip2.npz": (overwritten(zipped(whole, method=zipfile.ZIP_BZIP2)), "cannot be read"),
        "lzma.npz": (overwritten(zipped(whole, method=zipfile.ZIP_LZMA)), "cannot be read"),
        "stored.npz": (overwritten(zipped(whole, method=zipfile.ZIP_STORED)), "cannot be read"),
        "cut.npz": (archive[:300], "it is neither an .npy nor an .npz file"),
        "cut.npy": (whole[:500], "more than it holds"),
        "empty.npy": (b"", "it is empty"),
        "empty.npz": (b"", "it is empty"),
        "nothing.npz": (b"PK\5\6" + bytes(18), "it holds nothing"),
        "pictures.npz": (zipped(b"x", "a.png"), "it is neither an .npy nor an .npz file"),
        "text.npy": (b"hello", "it is neither an .npy nor an .npz file"),
        "no_images.npy": (saved(np.zeros((0, 8, 8, 3))), "holds no images"),
        "tera.npy": (headed("(45000000000, 8, 8, 3)"), "more than it holds"),
        "tera.npz": (zipped(headed("(45000000000, 8, 8, 3)")), "more than it holds"),
        "endless.npy": (headed(f"({10**30}, 8, 8, 3)"), "more than it holds"),
        "negative.npy": (headed("(-1, 8, 8, 3)"), "which is no array of plain values"),
        "nested.npy": (headed("(" * 200 + "8" + ")" * 200), "its header is damaged"),
        "deeper.npy": (headed("(8, 8, 3)", "[" * 4000 + "]" * 4000), "its header is damaged"),
        "version.npy": (whole[:6] + b"\x09" + whole[7:], "its version of the format"),
        "objects.npy": (objects, "which is no array of plain values"),
        "strings.npy": (saved(np.full((8, 8, 3), "a")), "must hold numbers"),
        "complex.npy": (saved(np.ones((8, 8, 3), complex)), "must hold numbers"),
        "fields.npy": (saved(np.zeros((8, 8, 3), [("a", "f4")])), "must hold numbers"),
        "nan.npy": (saved(np.full((8, 8, 3), np.nan)), "must hold values in [0, 1]"),
        "scalar.npy": (saved(np.array(0.5)), "one array of images of 8x8x3: it holds ()"),
        "two.npz": (two.getvalue(), "one array of images of 8x8x3: it holds a, b"),
    }


def promising(kind):
    """A picture of 8x8 pixels, PNG, JPEG or WebP, whose header promises 9000x9000."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), (1, 2, 3)).save(file, kind, lossless=True)
    content, size = bytearray(file.getvalue()), 9_000
    if kind == "png":
        content[16:24] = struct.pack(">II", size, size)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif kind == "jpeg":
        start = content.index(b"\xff\xc0") + 5
        content[start : start + 4] = struct.pack(">HH", size, size)
    else:
        start = content.index(b"VP8L") + 9
        content[start : start + 4] = struct.pack("<I", size - 1 | size - 1 << 14)
    return bytes(content)
