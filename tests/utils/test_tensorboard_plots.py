"""TensorBoard's own pages: what is written for them beside what PyTorch writes."""

import io

import numpy as np
import pytest

pytest.importorskip("tensorboard")

import torch
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.util.tensor_util import make_ndarray
from torch.utils.tensorboard import SummaryWriter as Theirs

import devtensor as dt
from devtensor.utils.tensorboard import SummaryWriter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def events(folder):
    """All that was written into a folder."""
    for file in sorted(folder.rglob("events*")):
        yield from map(Event.FromString, RawEventFileLoader(str(file)).Load())


def values(cls, folder, write, library):
    with cls(str(folder)) as writer:
        write(library, writer)
    return [value for event in events(folder) for value in event.summary.value]


def both(tmp_path, write):
    return (
        values(SummaryWriter, tmp_path / "ours", write, dt),
        values(Theirs, tmp_path / "theirs", write, torch),
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [127, 500, 4])
def test_curves_of_precision_and_recall(tmp_path, weighted, count):
    random = np.random.default_rng(0)
    truth, chances = random.integers(0, 2, 60), random.random(60)
    chances[:2] = 0, 1
    weights = random.integers(1, 5, 60) if weighted else None

    def write(t, writer):
        given = t.tensor(truth), t.tensor(chances)
        writer.add_pr_curve("curve", *given, 3, num_thresholds=count, weights=weights)
        rows = [t.tensor(row) for row in random.random((6, 5))]
        writer.add_pr_curve_raw("raw", *rows, num_thresholds=5)

    ours, theirs = both(tmp_path, write)
    assert ours[0].metadata == theirs[0].metadata and ours[1].metadata == theirs[1].metadata
    assert ours[0].tensor.tensor_shape == theirs[0].tensor.tensor_shape
    np.testing.assert_allclose(ours[0].tensor.float_val, theirs[0].tensor.float_val, rtol=1e-6)
    assert len(ours[1].tensor.float_val) == 30


@pytest.mark.parametrize(
    "write",
    [
        lambda t, w: w.add_custom_scalars(
            {"a": {"x": ["Multiline", ["p", "q"]], "y": ["Margin", ["p", "q", "r"]]}, "b": {}}
        ),
        lambda t, w: w.add_custom_scalars_multilinechart(["p", "q"]),
        lambda t, w: w.add_custom_scalars_marginchart(["p", "q", "r"], title="title"),
        lambda t, w: w.add_histogram_raw("h", 0.0, 3.0, 3, 4.0, 10.0, [1.0, 3.0], [1, 2], 5),
        *(
            lambda t, w, kind=kind: w.add_tensor("t", t.tensor([[1, 2, 3]]).to(getattr(t, kind)))
            for kind in ("float64", "float32", "int64", "int32", "int16", "int8")
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_what_pytorch_writes(tmp_path, write):
    ours, theirs = both(tmp_path, write)
    assert ours == theirs and len(ours) == 1


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "uint8"])
def test_small_types_are_read_again(tmp_path, kind):
    def write(t, writer):
        writer.add_tensor("t", t.tensor([[1.5, 2, 250]]).to(getattr(t, kind)))

    (value,) = values(SummaryWriter, tmp_path, write, dt)
    if kind == "bfloat16":  # which NumPy has not: the upper halves of float32's bits
        assert [*value.tensor.half_val] == [0x3FC0, 0x4000, 0x437A]
        return
    wanted = [[1, 2, 250]] if kind == "uint8" else [[1.5, 2, 250]]
    assert make_ndarray(value.tensor).tolist() == wanted


def test_what_cannot_be_written():
    writer = SummaryWriter.__new__(SummaryWriter)
    with pytest.raises(ValueError, match="len\\(bucket_limits\\) != len\\(bucket_counts\\)"):
        writer.add_histogram_raw("h", 0, 1, 1, 1, 1, [1.0], [])
    with pytest.raises(ValueError, match=r"t has unsupported tensor dtype torch\.bool"):
        writer.add_tensor("t", dt.tensor([True]))
    with pytest.raises(AssertionError, match="Expected 3 tags, got 1"):
        writer.add_custom_scalars_marginchart(["p"])
    with pytest.raises(AssertionError, match="#labels should equal with #data points"):
        writer.add_embedding(dt.ones(2, 3), metadata=["a"])


@pytest.mark.parametrize("colours", [1, 3])
def test_embeddings(tmp_path, colours):
    image = pytest.importorskip("PIL.Image")
    points = np.random.default_rng(0).integers(0, 9, (5, 3)) / 4
    pictures = np.random.default_rng(1).integers(0, 256, (5, colours, 2, 2)) / 255

    def write(t, writer):
        writer.add_embedding(
            t.tensor(points), [["a", 1]] * 5, t.tensor(pictures), 2, "one/two", ["name", "size"]
        )
        writer.add_embedding(t.tensor(points), [*"abcde"])

    both(tmp_path, write)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    files = [f.relative_to(theirs) for f in theirs.rglob("*") if f.suffix in (".tsv", ".pbtxt")]
    assert len(files) == 5
    for file in files:
        assert (ours / file).read_text() == (theirs / file).read_text()
    sprites = [next(place.rglob("sprite.png")).read_bytes() for place in (ours, theirs)]
    shown = [np.asarray(image.open(io.BytesIO(one))).astype(int) for one in sprites]
    assert shown[0].shape == shown[1].shape and abs(shown[0] - shown[1]).max() <= 1


class Net(dt.nn.Module):
    """A model with modules in modules, a parameter of its own, and a module called twice."""

    def __init__(self):
        super().__init__()
        self.first = dt.nn.Sequential(dt.nn.Conv2d(1, 2, 3), dt.nn.BatchNorm2d(2), dt.nn.ReLU())
        self.twice = dt.nn.Linear(4, 4)
        self.scale = dt.nn.Parameter(dt.ones(4))

    def forward(self, image, number):
        x = self.first(image).mean((2, 3)).repeat(1, 2)
        return {"out": [self.twice(self.twice(x)).exp() * self.scale + number]}


def graph(folder):
    (found,) = [event.graph_def for event in events(folder) if event.graph_def]
    return {node.name: node for node in GraphDef.FromString(found).node}


def test_graphs(tmp_path):
    model = Net()
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_graph(model, (dt.ones(1, 1, 6, 6), dt.tensor(3)))
    assert model.training and model.first[1].training and not model._forward_hooks
    assert model.first[1].num_batches_tracked == 0
    nodes = graph(tmp_path)
    for name, _ in model.named_parameters():
        last = name.rpartition(".")[2]
        assert sum(n.endswith(f"/{last}/{last}") for n in nodes) >= 1
    assert "Net/Sequential[first]/Conv2d[0]/weight/weight" in nodes
    assert all(one in nodes for node in nodes.values() for one in node.input)
    kinds = {
        scope: sorted(n.op for name, n in nodes.items()
                      if name.rpartition("/")[0] == scope)
        for scope in ("Net/Sequential[first]/ReLU[2]", "Net/Linear[twice]", "Net")
    }  # fmt: skip
    assert kinds["Net/Sequential[first]/ReLU[2]"] == ["Relu"]
    assert len(kinds["Net/Linear[twice]"]) >= 2  # called twice
    assert {"Exp", "Mul", "Mean"} <= {*kinds["Net"]}
    # From the output every node can be reached, the input and all parameters among them.
    reached, waiting = set(), ["output/output.1"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += [one for one in nodes[name].input if one not in reached]
    assert reached == {*nodes} and "input/input.1" in reached


def test_scopes_are_those_of_pytorch(tmp_path):
    def of(nn):
        block = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        return nn.Sequential(nn.Linear(2, 3), block, nn.Sigmoid())

    scopes = []
    for cls, t in ((SummaryWriter, dt), (Theirs, torch)):
        folder = tmp_path / t.__name__
        with cls(str(folder)) as writer:
            writer.add_graph(of(t.nn), t.ones(1, 2))
        names = [name for name in graph(folder) if name.startswith("Sequential")]
        scopes.append({"/".join(p for p in name.split("/") if "[" in p) for name in names} - {""})
    assert scopes[0] == scopes[1]
