"""PyTorch's zip archives: records stored as they are, each at a multiple of 64 bytes."""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from typing import Any

__all__ = ["ALIGNMENT", "Archive", "ArchiveWriter"]

ALIGNMENT = 64
FULL = 0xFFFFFFFF
UTF8, DESCRIBED = 0x0800, 0x0008
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
# What compressed records may expand to: this, or this many times the file.
MOST_EXPANDED = 1 << 28
MOST_EXPANSION = 64


class ArchiveWriter:
    """Writes an archive from front to back, never seeking.

    Parameters
    ----------
    file : object with a `write` method
    root : str
        The folder in which the records stand.
    checksums : bool
        Whether records get their CRC-32; PyTorch reads files without.
    """

    def __init__(self, file: Any, root: str, checksums: bool = True) -> None:
        self.file, self.root, self.checksums = file, root, checksums
        self.position = 0
        self.directory = bytearray()
        self.count = 0
        self.sum = 0
        self.names = hashlib.blake2b(digest_size=8)

    def add(self, name: str, data: Any) -> None:
        """Append a record of bytes."""
        crc = zlib.crc32(data) if self.checksums else 0
        path = f"{self.root}/{name}".encode()
        size, start = len(data), self.position
        # A descriptor follows the data, if there are any.
        flags = UTF8 | DESCRIBED * (size > 0)
        large, far = size >= FULL, start >= FULL
        extra = b""
        if large or far:
            fields = [size, size] * large + [start] * far
            extra = struct.pack(f"<2H{len(fields)}Q", 1, 8 * len(fields), *fields)
        used = start + LOCAL.size + len(path) + len(extra) + 4
        padding = -used % ALIGNMENT
        self.put(
            LOCAL.pack(
                b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(path), len(extra) + 4 + padding
            )
            + path + extra + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        )  # fmt: skip
        self.put(data)
        if size:
            form = "<4sL2Q" if large or far else "<4s3L"
            self.put(struct.pack(form, b"PK\7\x08", crc, size, size))
        fields = [size, size] * large + [start] * far
        extra = struct.pack(f"<2H{len(fields)}Q", 1, 8 * len(fields), *fields) if fields else b""
        self.directory += (
            CENTRAL.pack(
                b"PK\1\2", 0, 0, flags, 0, 0, 0, crc, min(size, FULL), min(size, FULL), len(path),
                len(extra), 0, 0, 0, 0, min(start, FULL),
            )
            + path + extra
        )  # fmt: skip
        self.count += 1
        self.sum = zlib.crc32(struct.pack("<L", crc), self.sum)
        self.names.update(path)

    def close(self) -> None:
        """Write what ends an archive."""
        self.add("version", b"3\n")
        names = int.from_bytes(self.names.digest(), "little")
        self.add(".data/serialization_id", b"%020d%020d" % (names, self.sum))
        start, size, end = self.position, len(self.directory), self.position + len(self.directory)
        self.put(self.directory)
        self.put(
            struct.pack(
                "<4sQ2H2L4Q", b"PK\6\6", 44, 0x031E, 45, 0, 0, self.count, self.count, size, start
            )
        )
        self.put(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        few = min(self.count, 0xFFFF)
        self.put(
            struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, few, few, min(size, FULL), min(start, FULL), 0)
        )

    def put(self, data: Any) -> None:
        self.position += len(data)
        self.file.write(data)


def damaged(doing: str, why: object) -> RuntimeError:
    """The error for an archive that cannot be read."""
    return RuntimeError(
        f"PytorchStreamReader failed {doing}: {why}. The file is damaged, was not transferred "
        "completely, or was not written by `save`."
    )


class Archive:
    """Reads an archive; sizes and places are checked before memory is taken.

    Parameters
    ----------
    file : seekable binary file

    Raises
    ------
    RuntimeError
        If it is no sound zip archive.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        try:
            self.size: int = file.seek(0, 2)
            listed = zipfile.ZipFile(file).infolist()
        except Exception as error:
            raise damaged("reading zip archive", error) from error
        if not listed:
            raise damaged("reading zip archive", "it has no records")
        self.root = listed[0].filename.partition("/")[0]
        self.records = {entry.filename: entry for entry in listed}
        if len(self.records) != len(listed):
            raise damaged("reading zip archive", "two records have the same name")
        self.checksums = any(entry.CRC for entry in listed)
        end, expanded = 0, 0
        for entry in sorted(listed, key=lambda entry: entry.header_offset):
            if entry.header_offset < end:
                raise damaged("reading zip archive", "records overlap")
            end = entry.header_offset + LOCAL.size + entry.compress_size
            if entry.compress_type != zipfile.ZIP_STORED:
                expanded += entry.file_size
            elif entry.compress_size != entry.file_size:
                raise damaged("reading zip archive", "a record has two sizes")
        if end > self.size:
            raise damaged("reading zip archive", "it ends before its records do")
        if expanded > max(MOST_EXPANDED, MOST_EXPANSION * self.size):
            raise damaged(
                "reading zip archive", f"{self.size} bytes would expand to {expanded} (a zip bomb)"
            )

    def __contains__(self, name: str) -> bool:
        return f"{self.root}/{name}" in self.records

    def entry(self, name: str) -> zipfile.ZipInfo:
        """What the directory says of a record."""
        found = self.records.get(f"{self.root}/{name}")
        if found is None:
            raise damaged(f"locating file {name}", "file not found")
        return found

    def start(self, name: str) -> int:
        """Where in the file the bytes of a record begin."""
        entry = self.entry(name)
        self.file.seek(entry.header_offset)
        header = self.file.read(LOCAL.size)
        if len(header) != LOCAL.size or header[:4] != b"PK\3\4":
            raise damaged(f"reading file {name}", "it has no header")
        fields = LOCAL.unpack(header)
        if self.file.read(fields[-2]) != entry.orig_filename.encode():
            raise damaged(f"reading file {name}", "its header has another name")
        start: int = entry.header_offset + LOCAL.size + fields[-2] + fields[-1]
        if start + entry.compress_size > self.size:
            raise damaged(f"reading file {name}", "it ends behind the end of the file")
        return start

    def read(self, name: str) -> bytearray:
        """The bytes of a record, checked against its checksum."""
        entry = self.entry(name)
        self.file.seek(self.start(name))
        data = fetch(self.file, entry.compress_size)
        if len(data) != entry.compress_size:
            raise damaged(f"reading file {name}", "file read failed")
        if entry.flag_bits & 1:
            raise damaged(f"reading file {name}", "it is encrypted")
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            try:
                unpacked = zlib.decompressobj(-15).decompress(data, entry.file_size + 1)
            except zlib.error as error:
                raise damaged(f"reading file {name}", error) from error
            data = bytearray(unpacked)
        elif entry.compress_type != zipfile.ZIP_STORED:
            raise damaged(f"reading file {name}", f"compression {entry.compress_type}")
        if len(data) != entry.file_size:
            raise damaged(f"reading file {name}", "it has not the size that was announced")
        if self.checksums and zlib.crc32(data) != entry.CRC:
            raise damaged(f"reading file {name}", "its checksum does not fit: bytes have changed")
        return data


def fetch(file: Any, size: int) -> bytearray:
    """Up to `size` bytes from where a file stands, in memory that may be written to."""
    if not hasattr(file, "readinto"):
        return bytearray(file.read(size))
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = file.readinto(view[done:])
        if not count:
            view.release()
            del data[done:]
            break
        done += count
    return data
