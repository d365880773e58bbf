"""What TensorBoard's logs hold, made of tensors: images, histograms, curves."""

from __future__ import annotations

import struct
import zlib
from numbers import Number
from typing import Any

from tensorboard.compat.proto.summary_pb2 import HistogramProto, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = ["content", "curve", "histogram", "numbers", "picture", "plugin", "png"]


def numbers(values: Any) -> Tensor:
    """The values of a tensor, an array or a number, as a tensor of the host.

    Raises
    ------
    NotImplementedError
        If it is none of these: some callers rely on it to leave out what cannot be written.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu()
    if isinstance(values, str):
        values = float(values)
    elif not isinstance(values, Number) and not hasattr(values, "__array_interface__"):
        raise NotImplementedError(
            f"Got {type(values)}, but numpy array or torch tensor are expected: make a tensor of it"
        )
    return dt.as_tensor(values)


def png(image: Tensor) -> bytes:
    """An image of bytes, of shape (height, width, 1 or 3 or 4), as a file's content."""
    height, width, channels = image.shape
    rows = bytes(image.reshape(-1).tolist())
    stride = width * channels
    lines = b"".join(b"\0" + rows[i * stride : (i + 1) * stride] for i in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    colours = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def picture(image: Any, dataformats: str) -> Tensor:
    """An image as bytes in the order height, width, colour; several of them side by side.

    Raises
    ------
    ValueError
        If the letters do not fit the shape.
    """
    values = numbers(image)
    letters = dataformats.upper()
    if len(letters) != values.ndim or len(set(letters)) != len(letters) or set(letters) - {*"NCHW"}:
        raise ValueError(
            f"dataformats={dataformats!r} does not describe an image of shape {values.shape}: it "
            "has one of the letters N, C, H, W to each dimension"
        )
    for missing in (letter for letter in "NCHW" if letter not in letters):
        values, letters = values.unsqueeze(0), missing + letters
    values = values.permute(*(letters.index(letter) for letter in "NHWC"))
    if values.dtype is not dt.uint8:
        values = (values.double() * 255).clamp(0, 255).to(dt.uint8)
    count = len(values)
    columns = min(count, 8)
    blank = (-count) % columns
    if blank:
        values = dt.cat([values, dt.zeros((blank, *values.shape[1:]), dtype=dt.uint8)])
    rows = [dt.cat(list(values[i : i + columns]), dim=1) for i in range(0, len(values), columns)]
    made: Tensor = dt.cat(rows)
    return made.repeat(1, 1, 3) if made.shape[2] == 1 else made


def histogram(values: Any, bins: Any, max_bins: int | None) -> Any:
    """The counts of values.

    Raises
    ------
    ValueError
        If there are none.
    """
    data = numbers(values).reshape(-1).double()
    if not data.numel():
        raise ValueError("The input has no element.")
    if bins == "tensorflow":
        steps = [1e-12 * 1.1**k for k in range(774)]
        edges = dt.tensor([*(-x for x in reversed(steps)), 0.0, *steps], dtype=dt.float64)
    elif isinstance(bins, (str, int)):
        count = bins if isinstance(bins, int) else max(1, round(data.numel() ** 0.5))
        low, high = data.min(), data.max()
        apart = dt.linspace(0, 1, min(count, max_bins or count) + 1, dtype=dt.float64)
        edges = low + apart * ((high - low) if high > low else 1.0)
    else:
        edges = numbers(bins).double()
    places = dt.searchsorted(edges, data, right=True)
    places = dt.where(data == edges[-1], len(edges) - 1, places)  # the last bin has both its ends
    counts = dt.bincount(places, minlength=len(edges) + 1)[1:-1]
    filled = counts.nonzero().reshape(-1).tolist()
    if not filled:
        raise ValueError("The histogram is empty, please file a bug report.")
    first, last = filled[0], filled[-1]
    kept = counts[first : last + 1].tolist()
    limits = edges[first + 1 : last + 2].tolist()
    # An empty bin before the first one, so that where it begins is known.
    return HistogramProto(
        min=data.min().item(), max=data.max().item(), num=data.numel(), sum=data.sum().item(),
        sum_squares=(data * data).sum().item(), bucket_limit=[edges[first].item(), *limits],
        bucket=[0, *kept],
    )  # fmt: skip


def curve(labels: Any, predictions: Any, thresholds: int, weights: Any) -> Tensor:
    """How right predictions from 0 to 1 are if those above a threshold count as true.

    Returns
    -------
    Tensor
        Of shape (6, thresholds): the true and false positives, the true and false negatives,
        the precision and the recall.
    """
    true, chances = numbers(labels).double().reshape(-1), numbers(predictions).reshape(-1)
    weight = dt.as_tensor(1.0 if weights is None else numbers(weights).reshape(-1)).double()
    places = (chances * (thresholds - 1)).floor().long()
    within = (places >= 0) & (places < thresholds)
    empty = dt.zeros(thresholds, dtype=dt.float64)
    positives = [
        empty.index_add(0, places[within], (part * weight)[within]).flip(0).cumsum(0).flip(0)
        for part in (true, 1 - true)
    ]
    right, wrong = positives
    few = 1e-7
    return dt.stack(
        [
            right, wrong, wrong[0] - wrong, right[0] - right,
            right / (right + wrong).clamp(min=few), right / right[0].clamp(min=few),
        ]
    )  # fmt: skip


KINDS = {
    dt.float16: ("DT_HALF", "half_val"),
    dt.bfloat16: ("DT_BFLOAT16", "half_val"),
    dt.float32: ("DT_FLOAT", "float_val"),
    dt.float64: ("DT_DOUBLE", "double_val"),
    dt.int8: ("DT_INT8", "int_val"),
    dt.uint8: ("DT_UINT8", "int_val"),
    dt.int16: ("DT_INT16", "int_val"),
    dt.int32: ("DT_INT32", "int_val"),
    dt.int64: ("DT_INT64", "int64_val"),
}
"""The name of a type, and the field of the values."""


def content(values: Tensor, tag: str = "") -> Any:
    """A tensor with its type and shape.

    Raises
    ------
    ValueError
        If TensorBoard has no such type.
    """
    if values.dtype not in KINDS:
        raise ValueError(f"{tag} has unsupported tensor dtype {values.dtype}; write x.float()")
    kind, field = KINDS[values.dtype]
    flat: Any = values.detach().cpu().reshape(-1)
    if field == "half_val":  # which holds bits
        flat = flat.view(dt.int16).int() & 0xFFFF
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in values.shape])
    return TensorProto(dtype=kind, tensor_shape=shape, **{field: flat.tolist()})


def plugin(name: str, content: bytes = b"") -> Any:
    """The note that says which part of TensorBoard shows a value."""
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name=name, content=content)
    )
