"""The bundled digits are those of the UCI repository."""

import gzip
import hashlib
import re
from importlib.resources import files

import devtensor as dt
from devtensor.datasets import digits


def test_digits():
    images, labels = digits()
    assert (images.shape, images.dtype) == ((1797, 8, 8), dt.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), dt.int64)
    assert (images.min().item(), images.max().item()) == (0, 16)
    # The counts are from the description of the data; so are the first image's rows, a zero.
    assert dt.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels[:10].tolist() == list(range(10))
    assert images[0, :3].tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
    ]


def test_the_file_is_the_one_that_is_described():
    folder = files("devtensor.datasets")
    content = gzip.decompress((folder / "digits.gz").read_bytes())
    described = re.search(r"`([0-9a-f]{64})`", (folder / "digits.md").read_text(encoding="utf-8"))
    assert hashlib.sha256(content).hexdigest() == described[1]


def test_each_call_gives_memory_of_its_own():
    images, labels = digits()
    images.zero_()
    labels.zero_()
    again, classes = digits()
    assert again.max() == 16 and classes.max() == 9
