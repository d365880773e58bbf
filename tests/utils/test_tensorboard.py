"""TensorBoard's logs: read again by its own package, and beside those of PyTorch."""

import io
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorboard")

import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray
from torch.utils.tensorboard import SummaryWriter as Theirs
from torch.utils.tensorboard import summary as their_summary

import devtensor as dt
from devtensor.utils import tensorboard
from devtensor.utils.tensorboard import SummaryWriter, summary

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def written(cls, folder, write):
    """The values that a writer has written, by folder and tag."""
    with cls(str(folder)) as writer:
        write(writer)
    found = {}
    for file in sorted(folder.rglob("events*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                name = file.parent.relative_to(folder).as_posix()
                found[name, value.tag, event.step] = value
    return found


def both(tmp_path, write):
    return (
        written(SummaryWriter, tmp_path / "ours", lambda w: write(dt, w)),
        written(Theirs, tmp_path / "theirs", lambda w: write(torch, w)),
    )


def test_numbers(tmp_path):
    def write(t, writer):
        for step in range(3):
            writer.add_scalar("loss/train", t.tensor(step * 0.5), step)
        writer.add_scalar("plain", 2, global_step=7, walltime=5.0)
        writer.add_scalars("all", {"a": 1.5, "b": t.tensor([2.5])}, 4)
        writer.flush()

    ours, theirs = both(tmp_path, write)
    assert [*ours] == [*theirs]
    for key, value in theirs.items():
        assert ours[key].tensor.float_val == value.tensor.float_val


@pytest.mark.parametrize("bins", ["tensorflow", 5])
def test_histograms(tmp_path, bins):
    data = np.random.default_rng(0).normal(size=500)

    def write(t, writer):
        writer.add_histogram("weights", t.tensor(data), 1, bins=bins)

    tables = []
    for file in both(tmp_path, write):
        (value,) = file.values()
        rows = make_ndarray(value.tensor)
        tables.append(rows[rows[:, 2] > 0])
    assert tables[0][:, 2].sum() == 500
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-6, atol=1e-9)


def picture_of(value):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(value.tensor.string_val[2])))


@pytest.mark.parametrize(
    ("shape", "formats", "kind"),
    [
        ((3, 4, 5), "CHW", "float"),
        ((4, 5, 3), "HWC", "uint8"),
        ((4, 5), "HW", "float"),
        ((1, 4, 5), "CHW", "float"),
    ],
)
def test_images(tmp_path, shape, formats, kind):
    pytest.importorskip("PIL")
    data = np.random.default_rng(0).random(shape).astype("float32")
    if kind == "uint8":
        data = (data * 255).astype("uint8")

    def write(t, writer):
        writer.add_image("image", t.tensor(data), 2, dataformats=formats)

    ours, theirs = both(tmp_path, write)
    for key, value in theirs.items():
        np.testing.assert_array_equal(picture_of(ours[key]), picture_of(value))


def test_several_images(tmp_path):
    pytest.importorskip("PIL")
    data = np.random.default_rng(0).random((10, 3, 4, 5)).astype("float32")
    ours, theirs = both(tmp_path, lambda t, w: w.add_images("images", t.tensor(data), 0))
    for key, value in theirs.items():
        assert picture_of(ours[key]).shape == picture_of(value).shape == (8, 40, 3)
        np.testing.assert_array_equal(picture_of(ours[key]), picture_of(value))


def test_an_image_that_does_not_fit():
    writer = SummaryWriter.__new__(SummaryWriter)
    with pytest.raises(ValueError, match="dataformats='CHW'"):
        writer.add_image("x", dt.ones(2, 2))


def test_texts_settings_and_sounds(tmp_path):
    def write(t, writer):
        writer.add_text("notes", "good", 3)
        writer.add_hparams(
            {"lr": 0.1, "name": "a", "deep": True, "size": 3},
            {"accuracy": t.tensor(0.5)}, run_name="run",
        )  # fmt: skip

    ours, theirs = both(tmp_path, write)
    assert [*ours] == [*theirs]
    for key, value in theirs.items():
        one = ours[key]
        assert one.metadata.plugin_data.plugin_name == value.metadata.plugin_data.plugin_name
        assert one.tensor.string_val == value.tensor.string_val
        if key[1] != "_hparams_/experiment":
            assert one.tensor.float_val == value.tensor.float_val
    with SummaryWriter(str(tmp_path / "sound")) as writer:
        writer.add_audio("tone", dt.sin(dt.arange(100.0)), sample_rate=8000)
        assert writer.get_logdir() == str(tmp_path / "sound")
        with pytest.raises(ValueError, match="value should be one of"):
            writer.add_hparams({"x": [1]}, {})
        for wrong in ([1.0], None):
            with pytest.raises(NotImplementedError, match="but numpy array or torch tensor are"):
                writer.add_scalar("wrong", wrong)
        with pytest.raises(NotImplementedError, match="no encoder is here"):
            writer.add_video("video", None)


def test_the_writer_is_found_where_pytorch_has_it():
    assert tensorboard.writer.SummaryWriter is SummaryWriter


def test_libraries_write_summaries_of_their_own(tmp_path):
    """Those of settings, as Lightning does, into the file that a writer has open."""

    def write(t, writer):
        hparams = (their_summary if t is torch else summary).hparams
        settings = {"size": t.tensor([0.5]), "name": "a", "lr": 0.25, "deep": True, "none": None}
        for made in hparams(settings, {"accuracy": 1.0}, {"lr": [0.25, 0.5], "deep": [True]}):
            writer._get_file_writer().add_summary(made, 3, walltime=5.0)
        assert writer.file_writer.get_logdir() == writer.get_logdir()
        for wrong in ([{}, []], [{"a": 1.0}, {}, {"a": [1]}], [{"a": 1}, {}, {"b": [1]}]):
            with pytest.raises(TypeError, match=r"^parameter: (metric_dict|hparam_domain)"):
                hparams(*wrong)

    ours, theirs = both(tmp_path, write)
    assert len(theirs) == 3
    assert {key: str(value) for key, value in ours.items()} == {
        key: str(value) for key, value in theirs.items()
    }


def test_without_the_package_the_cure_is_told():
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from devtensor.utils.tensorboard import SummaryWriter"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install tensorboard" in done.stderr.splitlines()[-1]
