"""What TensorBoard shows on pages of its own: curves, layouts, embeddings, graphs."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig

import devtensor as dt
from devtensor.utils.tensorboard._graph import graph_of
from devtensor.utils.tensorboard._values import content, curve, numbers, plugin, png

__all__ = ["PlotWriter"]

MOST = 127
"""The thresholds that TensorBoard takes."""


ESCAPED = {ord(letter): f"%{ord(letter):02x}" for letter in "%/\\"}
"""What may not stand in a folder's name."""


class PlotWriter:
    """The part of a writer that fills TensorBoard's own pages."""

    log_dir: str

    def _value(self, step: Any, walltime: float | None, folder: str = "", **value: Any) -> None:
        raise NotImplementedError

    def _writer(self, folder: str = "") -> Any:
        raise NotImplementedError

    def add_pr_curve(
        self, tag: str, labels: Any, predictions: Any, global_step: int | None = None,
        num_thresholds: int = MOST, weights: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write how precision and recall depend on the threshold.

        Parameters
        ----------
        labels : Tensor
            What is true: 0 or 1, or bools.
        predictions : Tensor
            The chance of it, from 0 to 1.
        num_thresholds : int
            At most 127.
        weights : Tensor, optional
            How much each prediction counts.
        """
        count = min(num_thresholds, MOST)
        self._curve(tag, curve(labels, predictions, count, weights), count, global_step, walltime)

    def add_pr_curve_raw(
        self, tag: str, true_positive_counts: Any, false_positive_counts: Any,
        true_negative_counts: Any, false_negative_counts: Any, precision: Any, recall: Any,
        global_step: int | None = None, num_thresholds: int = MOST, weights: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write a curve of precision and recall that was made elsewhere."""
        rows = (
            true_positive_counts, false_positive_counts, true_negative_counts,
            false_negative_counts, precision, recall,
        )  # fmt: skip
        data = dt.stack([numbers(row).double() for row in rows])
        self._curve(tag, data, min(num_thresholds, MOST), global_step, walltime)

    def _curve(self, tag: str, data: Any, count: int, step: Any, walltime: Any) -> None:
        note = PrCurvePluginData(version=0, num_thresholds=count).SerializeToString()
        self._value(
            step, walltime, tag=tag, metadata=plugin("pr_curves", note),
            tensor=content(data.float()),
        )  # fmt: skip

    def add_custom_scalars(self, layout: dict[str, dict[str, list[Any]]]) -> None:
        """Say which numbers are shown in one chart.

        Parameters
        ----------
        layout : dict
            Of categories to charts, and of charts to ``["Multiline", tags]`` or
            ``["Margin", [value, lower, upper]]``.
        """
        categories = []
        for category, charts in layout.items():
            made = []
            for title, (kind, tags) in charts.items():
                if kind == "Margin":
                    series = dict(zip(("value", "lower", "upper"), tags, strict=True))
                    margin = layout_pb2.MarginChartContent(
                        series=[layout_pb2.MarginChartContent.Series(**series)]
                    )
                    made.append(layout_pb2.Chart(title=title, margin=margin))
                else:
                    lines = layout_pb2.MultilineChartContent(tag=tags)
                    made.append(layout_pb2.Chart(title=title, multiline=lines))
            categories.append(layout_pb2.Category(title=category, chart=made))
        whole = layout_pb2.Layout(category=categories).SerializeToString()
        self._value(
            None, None, tag="custom_scalars__config__", metadata=plugin("custom_scalars"),
            tensor=TensorProto(
                dtype="DT_STRING", string_val=[whole], tensor_shape=TensorShapeProto()
            ),
        )  # fmt: skip

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Show several numbers in one chart."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Show a number between a lower and an upper one."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_embedding(
        self, mat: Any, metadata: Any = None, label_img: Any = None,
        global_step: int | None = None, tag: str = "default", metadata_header: Any = None,
    ) -> None:  # fmt: skip
        """Write points of a space of many dimensions, to be projected.

        Parameters
        ----------
        mat : Tensor
            Of shape (N, D).
        metadata : sequence, optional
            What each point is; with `metadata_header` a sequence of columns.
        label_img : Tensor, optional
            An image to each point, of shape (N, C, H, W).
        """
        points = numbers(mat)
        if metadata is not None and len(metadata) != len(points):
            raise AssertionError("#labels should equal with #data points")
        if label_img is not None and len(label_img) != len(points):
            raise AssertionError("#images should equal with #data points")
        if points.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        step = str(global_step or 0).zfill(5)
        place = f"{step}/{tag.translate(ESCAPED)}"
        folder = Path(self.log_dir, place)
        folder.mkdir(parents=True, exist_ok=True)
        info = EmbeddingInfo(tensor_name=f"{tag}:{step}", tensor_path=f"{place}/tensors.tsv")
        lines = ["\t".join(map(str, row)) for row in points.tolist()]
        (folder / "tensors.tsv").write_text("\n".join(lines) + "\n")
        if metadata is not None:
            rows = [str(one) for one in metadata]
            if metadata_header:
                rows = ["\t".join(map(str, row)) for row in (metadata_header, *metadata)]
            (folder / "metadata.tsv").write_text("\n".join(rows) + "\n")
            info.metadata_path = f"{place}/metadata.tsv"
        if label_img is not None:
            (folder / "sprite.png").write_bytes(png(sprite(label_img)))
            info.sprite.image_path = f"{place}/sprite.png"
            info.sprite.single_image_dim.extend([label_img.shape[3], label_img.shape[2]])
        self._projector = vars(self).get("_projector") or ProjectorConfig()
        self._projector.embeddings.append(info)
        text = text_format.MessageToString(self._projector)
        Path(os.path.join(self.log_dir, "projector_config.pbtxt")).write_text(text)

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:  # fmt: skip
        """Write which operations a model records, by the modules in which they stand.

        Parameters
        ----------
        model : Module
            It is called once, in its state of evaluation.
        input_to_model : Tensor or tuple of Tensor
            What it is called with.
        verbose : bool
            Print the operations.
        use_strict_trace : bool
            Accepted; outputs may be dicts and lists in any case.
        """
        graph = graph_of(model, input_to_model)
        if verbose:
            print(graph)
        self._writer().add_event(Event(graph_def=graph.SerializeToString()))


def sprite(images: Any) -> Any:
    """Images of numbers from 0 to 1 as one square of bytes, row by row."""
    values = numbers(images)
    if values.shape[1] == 1:
        values = values.expand(-1, 3, -1, -1)
    count, (height, width) = math.ceil(len(values) ** 0.5), values.shape[2:]
    bytes_ = (values.double() * 255).clamp(0, 255).to(dt.uint8).permute(0, 2, 3, 1)
    whole = dt.zeros(count * height, count * width, 3, dtype=dt.uint8)
    for number, image in enumerate(bytes_):
        y, x = number // count * height, number % count * width
        whole[y : y + height, x : x + width] = image
    return whole
