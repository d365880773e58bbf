"""Carrying batches from a worker process: small ones through a pipe, large ones in shared memory.

Arrays leave the pickle as buffers (pickle protocol 5). Large buffers are written to an anonymous
file in memory, whose descriptor goes through the pipe's socket: nothing has a name, so nothing is
left behind whichever process dies. The receiver maps the file, and the batch's arrays are the map.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import pickle
import socket
import struct
import sys
import weakref
from typing import Any

from devtensor.serialization import reduce_tensor
from devtensor.tensor import Tensor

__all__ = ["Channel", "Packed", "pack"]

LARGE = 1 << 16
ALIGNMENT = 64
HEAD = struct.Struct("<QQ?")
# Before Python 3.13 a map keeps a file open, and a process may open so many (often 1024).
MOST_MAPS = 256
maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def can_share() -> bool:
    """Whether this system has files in memory, and sockets that carry descriptors."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")


class Packed:
    """A value as bytes: the pickle, and the buffers that left it."""

    __slots__ = ("buffers", "data")

    def __init__(self, data: bytes, buffers: list[Any]) -> None:
        self.data, self.buffers = data, buffers


def pack(value: Any) -> Packed:
    """Pickle a value, its arrays out of band."""
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    Pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return Packed(file.getvalue(), [buffer.raw() for buffer in buffers])


class Pickler(pickle.Pickler):
    """Writes the values of tensors out of band."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor:
            return reduce_tensor(value, 5)
        return NotImplemented


class Channel:
    """One end of a connection between the main process and a worker.

    Parameters
    ----------
    connection : multiprocessing.connection.Connection
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.socket: socket.socket | None = None
        if os.name == "posix":
            self.socket = socket.socket(fileno=os.dup(connection.fileno()))
            self.socket.setblocking(True)  # whatever the program's default timeout is

    def fileno(self) -> int:
        """The descriptor, for `multiprocessing.connection.wait`."""
        number: int = self.connection.fileno()
        return number

    def send(self, packed: Packed) -> None:
        """Send what `pack` has packed."""
        sizes = [len(buffer) for buffer in packed.buffers]
        places, total = layout(sizes)
        shared = total >= LARGE and can_share()
        self.connection.send_bytes(
            HEAD.pack(len(sizes), total, shared) + struct.pack(f"<{len(sizes)}Q", *sizes)
        )
        self.connection.send_bytes(packed.data)
        if shared:
            file = os.memfd_create("devtensor-batch", os.MFD_CLOEXEC)
            try:
                write(file, packed.buffers, places, total)
                assert self.socket is not None
                socket.send_fds(self.socket, [b"!"], [file])
            finally:
                os.close(file)
        elif total < LARGE:
            if total:
                self.connection.send_bytes(join(packed.buffers, places, total))
        else:
            for buffer in packed.buffers:
                if len(buffer):
                    self.connection.send_bytes(buffer)

    def receive(self) -> Any:
        """Take a value from the other end.

        Raises
        ------
        EOFError, OSError
            If the other end is gone.
        """
        head = self.connection.recv_bytes()
        count, total, shared = HEAD.unpack_from(head)
        sizes = struct.unpack_from(f"<{count}Q", head, HEAD.size)
        data = self.connection.recv_bytes()
        places, _ = layout(sizes)
        if shared:
            assert self.socket is not None
            _, files, _, _ = socket.recv_fds(self.socket, 1, 1)
            if not files:
                raise OSError(
                    "a batch in shared memory did not arrive: the other end is gone, or too many "
                    "files are open (see `ulimit -n`)"
                )
            try:
                memory = take(files[0], total)
            finally:
                os.close(files[0])
        elif total < LARGE:
            memory = memoryview(bytearray(total))
            if total:
                self.connection.recv_bytes_into(memory)
        else:
            memory = memoryview(bytearray(total))
            for place, size in zip(places, sizes, strict=True):
                if size:
                    self.connection.recv_bytes_into(memory[place : place + size])
        return pickle.loads(
            data,
            buffers=[
                memory[place : place + size] for place, size in zip(places, sizes, strict=True)
            ],
        )

    def close(self) -> None:
        """End the connection; the other end notices, whoever else has a copy of this one."""
        if self.socket is not None:
            with contextlib.suppress(OSError):  # the other end is gone already
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
        self.connection.close()


def take(file: int, size: int) -> memoryview:
    """The contents of a file in memory: the file's own pages, if there are not too many such."""
    mapped: Any = None
    if sys.version_info >= (3, 13):
        mapped = mmap.mmap(file, size, trackfd=False)
    elif len(maps) < MOST_MAPS:
        mapped = mmap.mmap(file, size)
        maps.add(mapped)
    if mapped is not None:
        return memoryview(mapped)
    memory, done = memoryview(bytearray(size)), 0
    while done < size:
        done += os.preadv(file, [memory[done:]], done)
    return memory


def layout(sizes: Any) -> tuple[list[int], int]:
    """Where buffers of these sizes stand, each aligned, and the size of all."""
    places, end = [], 0
    for size in sizes:
        end += -end % ALIGNMENT
        places.append(end)
        end += size
    return places, end


def join(buffers: list[Any], places: list[int], total: int) -> bytearray:
    """Small buffers in one piece."""
    joined = bytearray(total)
    for buffer, place in zip(buffers, places, strict=True):
        joined[place : place + len(buffer)] = buffer
    return joined


def write(file: int, buffers: list[Any], places: list[int], total: int) -> None:
    """Write buffers to their places in a file."""
    os.ftruncate(file, total)
    for buffer, place in zip(buffers, places, strict=True):
        done = 0
        while done < len(buffer):
            done += os.pwrite(file, buffer[done:], place + done)
