"""Data sets that worker processes of every start method can import."""

import ctypes
import os
import random
import signal
import sys
import time

import numpy as np

import devtensor as dt
from devtensor.utils import data


class Squares(data.Dataset):
    """Rows of numbers, with the number of the worker that made each."""

    def __init__(self, length=20, width=3, pause=0.0):
        self.length, self.width, self.pause = length, width, pause

    def __getitem__(self, index):
        if not 0 <= index < self.length:
            raise IndexError(index)
        time.sleep(self.pause)
        info = data.get_worker_info()
        return dt.full((self.width,), float(index**2)), index, -1 if info is None else info.id

    def __len__(self):
        return self.length


class Words(data.Dataset):
    """Samples of nested containers."""

    def __getitem__(self, index):
        return {
            "x": np.full(3, index, "float32"),
            "n": index,
            "f": index / 2,
            "name": f"item {index}",
            "pair": (np.float32(index), [dt.tensor(index), np.int64(index)]),
        }

    def __len__(self):
        return 10


class Stream(data.IterableDataset):
    """Numbers, shared out among the workers."""

    def __init__(self, *counts):
        self.counts = counts

    def __iter__(self):
        info = data.get_worker_info()
        if info is None:
            for number, count in enumerate(self.counts):
                yield from (100 * number + i for i in range(count))
        else:
            yield from (100 * info.id + i for i in range(self.counts[info.id]))


class Length(Stream):
    def __len__(self):
        return 3


class Own(Exception):
    """An exception that cannot be made of a text alone."""

    def __init__(self, one, two):
        super().__init__(one, two)


class Failing(data.Dataset):
    """Does something wrong at sample 5."""

    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == 5:
            self.fail()
        return index

    def fail(self):
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "segfault":
            ctypes.string_at(0)
        elif self.how == "exit":
            os._exit(3)
        elif self.how == "sys.exit":
            sys.exit(4)
        elif self.how == "own":
            raise Own(1, 2)
        elif self.how == "key":
            raise KeyError("missing")
        elif self.how == "hang":
            time.sleep(600)
        elif self.how == "stop":
            raise StopIteration
        elif self.how == "local":

            class Local(Exception):
                pass

            raise Local("of the worker alone")
        else:
            raise ValueError("sample five is bad")


class Unpicklable(data.Dataset):
    def __getitem__(self, index):
        return lambda: index

    def __len__(self):
        return 2


class Noise(data.Dataset):
    """What each of the random number generators gives."""

    def __getitem__(self, index):
        return [random.random(), float(np.random.random()), dt.rand(()).item()]

    def __len__(self):
        return 8


class Large(data.Dataset):
    """Samples big enough for shared memory."""

    def __init__(self, length=6, elements=50_000):
        self.length, self.elements = length, elements

    def __getitem__(self, index):
        return dt.full((self.elements,), float(index)), np.full(self.elements, index)

    def __len__(self):
        return self.length


def as_is(batch):
    return batch


def first_of(batch):
    return batch[0]


def set_attribute(number):
    data.get_worker_info().dataset.width = 10 + number


def failing_init(number):
    raise RuntimeError(f"worker {number} does not want to")
