"""What writes the logs for TensorBoard."""

from __future__ import annotations

import io
import os
import socket
import struct
import time
import wave
from datetime import datetime
from typing import Any

import devtensor as dt
from devtensor.refusal import refused
from devtensor.tensor import Tensor

try:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
except ImportError as error:
    raise ImportError(
        f"torch.utils.tensorboard: the package tensorboard writes the logs, and is not there "
        f"({error}): pip install tensorboard"
    ) from error

from devtensor.utils.tensorboard._plots import PlotWriter
from devtensor.utils.tensorboard._values import content, histogram, numbers, picture, plugin, png
from devtensor.utils.tensorboard.summary import hparams

__all__ = ["FileWriter", "SummaryWriter"]


class FileWriter:
    """Writes events into one folder, each with the time and the step.

    Parameters
    ----------
    log_dir : str
    max_queue, flush_secs : int
        How much, and how long, may wait to be written.
    filename_suffix : str
    """

    def __init__(
        self, log_dir: str | os.PathLike[str], max_queue: int = 10, flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:  # fmt: skip
        self.event_writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)
        self.flush, self.close = self.event_writer.flush, self.event_writer.close

    def get_logdir(self) -> str:
        """The folder."""
        return str(self.event_writer.get_logdir())

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Write an event."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(
        self, summary: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a summary."""
        self.add_event(Event(summary=summary), global_step, walltime)


class SummaryWriter(PlotWriter):
    """Writes numbers, images and texts for TensorBoard into a folder.

    Parameters
    ----------
    log_dir : str, optional
        By default a new one under ``runs``, of the time and the machine.
    comment : str
        The end of that folder's name.
    purge_step : int, optional
        Forget what a crashed run has written from this step on.
    max_queue, flush_secs : int
        How much, and how long, may wait to be written.
    filename_suffix : str

    Notes
    -----
    PyTorch's ``torch.utils.tensorboard.SummaryWriter``. It needs the package tensorboard.
    """

    add_video = refused("utils.tensorboard.add_video", "no encoder is here; add its images")
    add_mesh = refused("utils.tensorboard.add_mesh", "meshes are not written; save them in a file")

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = str(log_dir)
        self._settings = max_queue, flush_secs, filename_suffix
        self._writers: dict[str, FileWriter] = {}
        writer = self._writer()
        if purge_step is not None:
            from tensorboard.compat.proto.event_pb2 import SessionLog

            writer.add_event(Event(file_version="brain.Event:2"), purge_step)
            writer.add_event(Event(session_log=SessionLog(status=SessionLog.START)), purge_step)

    def _writer(self, folder: str = "") -> FileWriter:
        folder = folder or self.log_dir
        if folder not in self._writers:
            self._writers[folder] = FileWriter(folder, *self._settings)
        return self._writers[folder]

    _get_file_writer = _writer
    file_writer = property(_writer)

    def _value(self, step: Any, walltime: float | None, folder: str = "", **value: Any) -> None:
        summary = Summary(value=[Summary.Value(**value)])
        self._writer(folder).add_summary(summary, step, walltime)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None,
        walltime: float | None = None, new_style: bool = False, double_precision: bool = False,
    ) -> None:  # fmt: skip
        """Write a number.

        Parameters
        ----------
        tag : str
        scalar_value : float or Tensor
        global_step : int, optional
        walltime : float, optional
            Seconds; now by default.
        """
        number = float(numbers(scalar_value).reshape(()))
        self._value(global_step, walltime, tag=tag, simple_value=number)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write several numbers that belong in one plot, each into a folder of its own."""
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            number = float(numbers(value).reshape(()))
            self._value(global_step, walltime, folder, tag=main_tag, simple_value=number)

    def add_histogram(
        self, tag: str, values: Any, global_step: int | None = None, bins: Any = "tensorflow",
        walltime: float | None = None, max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """Write how values are distributed.

        Parameters
        ----------
        values : Tensor
        bins : str or int or sequence
            TensorBoard's own, a number of equal ones, or their edges.
        """
        self._value(global_step, walltime, tag=tag, histo=histogram(values, bins, max_bins))

    def add_histogram_raw(
        self, tag: str, min: float, max: float, num: int, sum: float, sum_squares: float,
        bucket_limits: Any, bucket_counts: Any, global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write counts that were made elsewhere, and the upper ends of their bins."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError(
                "len(bucket_limits) != len(bucket_counts), see the document: they are "
                f"{len(bucket_limits)} and {len(bucket_counts)}"
            )
        made = HistogramProto(
            min=min, max=max, num=num, sum=sum, sum_squares=sum_squares,
            bucket_limit=[*map(float, bucket_limits)], bucket=[*map(float, bucket_counts)],
        )  # fmt: skip
        self._value(global_step, walltime, tag=tag, histo=made)

    def add_tensor(
        self, tag: str, tensor: Tensor, global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write a tensor as it is."""
        made = content(tensor, tag)
        self._value(global_step, walltime, tag=tag, metadata=plugin("tensor"), tensor=made)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: int | None = None,
        walltime: float | None = None, dataformats: str = "CHW",
    ) -> None:  # fmt: skip
        """Write an image.

        Parameters
        ----------
        img_tensor : Tensor
            Bytes, or numbers from 0 to 1.
        dataformats : str
            What its dimensions are: C for colours, H for height, W for width, N for several.
        """
        image = picture(img_tensor, dataformats)
        height, width, colours = image.shape
        made = Summary.Image(
            height=height, width=width, colorspace=colours, encoded_image_string=png(image)
        )
        self._value(global_step, walltime, tag=tag, image=made)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: int | None = None,
        walltime: float | None = None, dataformats: str = "NCHW",
    ) -> None:  # fmt: skip
        """Write several images side by side."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self, tag: str, figure: Any, global_step: int | None = None, close: bool = True,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write a figure of matplotlib, or several of them."""
        for one in figure if isinstance(figure, list) else [figure]:
            one.canvas.draw()
            shown = dt.as_tensor(one.canvas.buffer_rgba())[..., :3]
            self.add_image(tag, shown, global_step, walltime, "HWC")
            if close:
                from matplotlib import pyplot

                pyplot.close(one)

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: int | None = None, sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write a sound of numbers from -1 to 1."""
        sound = numbers(snd_tensor).double().reshape(-1).clamp(-1, 1)
        samples = (sound * 32767).to(dt.int16).tolist()
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(sample_rate)
            out.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        made = Summary.Audio(
            sample_rate=sample_rate, num_channels=1, length_frames=len(samples),
            encoded_audio_string=file.getvalue(), content_type="audio/wav",
        )  # fmt: skip
        self._value(global_step, walltime, tag=tag, audio=made)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Write a text."""
        self._value(
            global_step, walltime, tag=f"{tag}/text_summary",
            metadata=plugin("text"),
            tensor=TensorProto(
                dtype="DT_STRING", string_val=[text_string.encode()],
                tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
            ),
        )  # fmt: skip

    def add_hparams(
        self, hparam_dict: dict[str, Any], metric_dict: dict[str, Any],
        hparam_domain_discrete: Any = None, run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:  # fmt: skip
        """Write settings and what they led to, into a folder of their own.

        Raises
        ------
        ValueError
            If a setting is no number, text or bool.
        """
        summaries = hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self.log_dir, run_name or str(time.time()))
        for summary in summaries:
            self._writer(folder).add_summary(summary)
        for tag, value in metric_dict.items():
            number = float(numbers(value).reshape(()))
            self._value(global_step, None, folder, tag=tag, simple_value=number)

    def flush(self) -> None:
        """Write what is waiting."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Write what is waiting, and end."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
