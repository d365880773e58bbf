"""The profiler: what ran, how long, and PyTorch's ways to ask for it."""

import gzip
import json
import time

import pytest
import torch

import devtensor as dt
from devtensor import profiler
from devtensor.profiler import ProfilerAction, profile, record_function, schedule


def test_launches_and_blocks_are_timed():
    x = dt.ones(64, 64)
    with profile(profile_memory=True, record_shapes=True) as prof:
        with record_function("outer"):
            time.sleep(0.02)
            with record_function("inner"):
                (x @ x).sum()
        x.exp()
    x.exp()  # after it
    rows = {row.key: row for row in prof.key_averages()}
    assert {name: row.count for name, row in rows.items()} == {
        "outer": 1, "inner": 1, "matmul": 1, "sum": 1, "exp": 1
    }  # fmt: skip
    assert rows["outer"].cpu_time_total >= 20_000
    assert rows["outer"].cpu_time_total >= rows["inner"].cpu_time_total
    parts = rows["matmul"].cpu_time_total + rows["sum"].cpu_time_total
    assert rows["inner"].cpu_time_total >= parts
    assert rows["inner"].self_cpu_time_total <= rows["inner"].cpu_time_total - parts + 1e-6
    assert rows["matmul"].cpu_memory_usage == 64 * 64 * 4
    names = [event.name for event in prof.events()]
    assert names == ["outer", "inner", "matmul", "sum", "exp"]
    assert prof.key_averages().self_cpu_time_total == pytest.approx(
        rows["outer"].cpu_time_total + rows["exp"].cpu_time_total, rel=1e-6
    )


def test_the_table():
    with profile() as prof:
        for _ in range(3):
            dt.ones(2).sin().cos()
    table = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=2)
    lines = table.splitlines()
    assert lines[1].split()[0] == "Name" and "CPU time avg" in lines[1]
    assert len(lines) == 3 + 2 + 2 and lines[-1].startswith("Self CPU time total: ")
    assert all(line.split()[-1] == "3" for line in lines[3:5])
    assert prof.key_averages().total_average().count == 9
    with pytest.raises(AttributeError):
        prof.key_averages().table(sort_by="shine")


cold = pytest.mark.filterwarnings("ignore:Profiler won't be using warmup")


@cold
@pytest.mark.parametrize(
    "plan",
    [
        {"wait": 1, "warmup": 1, "active": 2},
        {"wait": 0, "warmup": 0, "active": 1, "repeat": 2},
        {"wait": 2, "warmup": 1, "active": 3, "repeat": 2, "skip_first": 2},
        {"wait": 2, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1},
    ],
)
def test_schedules_are_pytorchs(plan):
    theirs, ours = torch.profiler.schedule(**plan), schedule(**plan)
    assert [ours(i).name for i in range(20)] == [theirs(i).name for i in range(20)]


def test_a_schedule_that_cannot_be():
    with pytest.warns(UserWarning, match="skew profiler results"):
        schedule(wait=1, warmup=0, active=1)
    for plan in ({"active": 0}, {"active": 1, "wait": -1}):
        with pytest.raises(AssertionError, match="Invalid profiler schedule"):
            schedule(**{"wait": 0, "warmup": 0, **plan})


def test_steps_are_recorded_by_schedule():
    found = []
    with profile(
        schedule=schedule(wait=1, warmup=1, active=2, repeat=2),
        on_trace_ready=lambda prof: found.append([e.name for e in prof.events() if not e.user]),
    ) as prof:
        for step in range(9):
            dt.ones(2).add(step)
            if step % 2:
                dt.ones(1).sin()
            prof.step()
    odd, even = ["filled", "add", "filled", "sin"], ["filled", "add"]
    assert found == [even + odd, even + odd]
    assert prof.current_action is ProfilerAction.NONE and prof.step_num == 9


@cold
def test_a_block_that_is_left_early_is_shown_too():
    found = []
    with profile(
        schedule=schedule(wait=0, warmup=0, active=5),
        on_trace_ready=lambda prof: found.append(len(prof.events())),
    ) as prof:
        dt.ones(1)
        prof.step()
        dt.ones(1)
    assert found == [4]  # two launches, each in its step


def test_traces(tmp_path):
    with profile() as prof, record_function("mine"):
        dt.ones(3).sin()
    prof.add_metadata("note", "text")
    for name, read in (("trace.json", open), ("trace.json.gz", gzip.open)):
        prof.export_chrome_trace(str(tmp_path / name))
        with read(tmp_path / name, "rt") as file:
            trace = json.load(file)
        assert trace["note"] == "text"
        events = trace["traceEvents"]
        assert [(e["name"], e["cat"]) for e in events] == [
            ("mine", "user_annotation"), ("filled", "cpu_op"), ("sin", "cpu_op")
        ]  # fmt: skip
        assert all(e["ph"] == "X" and e["dur"] > 0 for e in events)
        assert events[2]["args"]["line"].split(":")[0].endswith("test_profiler.py")


@cold
@pytest.mark.parametrize("packed", [False, True])
def test_traces_for_tensorboard(tmp_path, packed):
    handler = profiler.tensorboard_trace_handler(str(tmp_path / "logs"), "worker", packed)
    with profile(schedule=schedule(wait=0, warmup=0, active=1), on_trace_ready=handler) as prof:
        for _ in range(2):
            dt.ones(1)
            prof.step()
    files = sorted(file.name for file in (tmp_path / "logs").iterdir())
    assert len(files) == 3  # the last step was begun, and ended with the block
    ending = ".pt.trace.json.gz" if packed else ".pt.trace.json"
    assert all(f.startswith("worker.") and f.endswith(ending) for f in files)


def test_decorated_functions_and_own_functions_are_events():
    class Twice(dt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    @record_function("named")
    def work(x):
        return Twice.apply(x)

    work(dt.ones(1))
    with profile() as prof:
        work(dt.ones(2, requires_grad=True))
    names = [event.name for event in prof.events()]
    assert names[:2] == ["filled", "named"] and "Twice" in names


def test_without_a_block_nothing_is_recorded():
    prof = profile()
    assert prof.events() == [] and prof.key_averages() == []
    with record_function("alone"):
        dt.ones(1)
    assert profiler.supported_activities() == {profiler.ProfilerActivity.CPU}
    assert {a.name for a in profiler.ProfilerActivity} >= {"CPU", "CUDA", "XPU"}
