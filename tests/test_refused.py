"""Names for what is not here: they are there, say so, and leave programs alone that ask first."""

import re
import subprocess
import sys
import warnings
from importlib import import_module

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.alias import counterpart
from devtensor.commands.check import lacks
from devtensor.refusal import Refused

MODULES = {
    "jit": "freeze optimize_for_inference save load fork wait",
    "hub": "load list help load_state_dict_from_url download_url_to_file",
    "onnx": "export",
    "library": "triton_op opcheck register_autocast",
    "distributed": "init_process_group all_reduce barrier broadcast all_gather new_group",
    "distributed.fsdp": "fully_shard FullyShardedDataParallel",
    "distributed.rpc": "init_rpc rpc_sync RRef",
    "nn.parallel": "DistributedDataParallel",
    "sparse": "spsolve",
    "nested": "nested_tensor as_nested_tensor",
}


@pytest.mark.parametrize(
    "name", [f"{module}.{one}" for module, names in MODULES.items() for one in names.split()]
)
def test_using_it_says_what_to_do(name):
    found = counterpart(f"torch.{name.rpartition('.')[0]}")
    refused = getattr(found, name.rpartition(".")[2])
    with pytest.raises(NotImplementedError, match=rf"^torch\.{name.replace('.', '[.]')}: .+"):
        refused(1, other=2)
    assert isinstance(1, refused) is False  # programs ask whether a module is one
    assert lacks(f"torch.{name}") == refused.refusal


def test_every_refused_name_is_pytorchs():
    names = set()
    for module in MODULES:
        theirs, ours = torch, counterpart(f"torch.{module}")
        for part in module.split("."):
            theirs = getattr(theirs, part, None) or __import__(f"torch.{module}", fromlist=["x"])
        names |= {
            f"{module}.{n}" for n, value in vars(ours).items()
            if isinstance(value, Refused) and not n.startswith("_") and not hasattr(theirs, n)
        }  # fmt: skip
    # What PyTorch has only where it is built with it, or has had.
    assert names <= {
        "nested.nested_tensor_from_jagged", "onnx.dynamo_export", "distributed.P2POp",
    }  # fmt: skip


def test_marks_do_nothing():
    def function(x):
        return x + 1

    jit, compiler = dt.jit, dt.compiler
    jit._told.clear()
    with pytest.warns(UserWarning, match="compiles nothing"):
        assert jit.script(function) is function  # and is silent from then on
    assert isinstance(jit.ScriptModule(), dt.nn.Module)
    assert not isinstance(dt.nn.Linear(1, 1), jit.ScriptModule)
    for mark in (
        jit.ignore, jit.ignore(), jit.ignore(drop=True), jit.unused, jit.export, jit.interface,
        jit.script_if_tracing, jit._overload, compiler.disable, compiler.disable(recursive=False),
        compiler.allow_in_graph, compiler.compile, dt.compile, dt.compile(mode="max-autotune"),
        jit.script, jit.trace, jit.trace_module, jit.script_method,
    ):  # fmt: skip
        assert mark(function) is function
    assert not jit.is_scripting() and not jit.is_tracing()
    assert not compiler.is_compiling() and not compiler.is_exporting()
    assert not dt.onnx.is_in_onnx_export()
    assert jit.annotate(int, 3) == 3 and jit.isinstance(3, (int, str))
    assert compiler.list_backends() == []
    with jit.optimized_execution(False), jit.strict_fusion(), compiler.set_stance("force_eager"):
        compiler.reset()
    model = dt.nn.Linear(1, 1)
    assert dt.compile(model, disable=True) is model
    with pytest.raises(RuntimeError, match="can't be specified at the same time"):
        dt.compile(model, mode="default", options={})
    with pytest.raises(TypeError):
        dt.compile(model, shine=True)


def test_the_inner_names_of_the_compiler():
    dynamo = import_module("devtensor._dynamo")
    testing, utils = (import_module(f"devtensor._dynamo.{name}") for name in ("testing", "utils"))
    for counter in (testing.CompileCounter(), testing.CompileCounterWithBackend("eager")):
        twice = dt.compile(lambda x: x * 2, backend=counter)
        for size in (2, 3):  # nothing is compiled anew for another size
            assert twice(dt.ones(size)).tolist() == [2.0] * size
        dynamo.optimize(counter, nopython=True)(dt.nn.Linear(1, 1))
        dt.compile(twice, backend=counter, disable=True)
        assert (counter.frame_count, counter.op_count) == (2, 0)
        counter.clear()
        assert counter.frame_count == 0
    assert counter.graphs == testing.EagerAndRecordGraphs().graphs == []

    def function(x):
        return dynamo.config.verbose

    for mark in (
        dynamo.disable, dynamo.disable(recursive=False), dynamo.run, dynamo.run(),
        dynamo.optimize(),
        dynamo.forbid_in_graph, dynamo.nonstrict_trace, dynamo.substitute_in_graph(len),
        dt.compiler.nested_compile_region, dt.compiler.wrap_numpy,
    ):  # fmt: skip
        assert mark(function) is function
    for patch in ({"verbose": True},), ("verbose", True):
        with dynamo.config.patch(*patch):
            assert function(1)
        assert dynamo.config.patch(*patch)(function)(1) and not function(1)
    with pytest.raises(AttributeError, match="shine"), dynamo.config.patch(shine=1):
        pass
    dynamo.mark_dynamic(dt.ones(2), 0)
    dynamo.graph_break()
    assert utils.counters["stats"]["unique_graphs"] == 0 and dynamo.is_dynamo_supported()
    for refused in (dynamo.explain, dynamo.export, testing.rand_strided):
        with pytest.raises(
            NotImplementedError, match=r"^torch\._dynamo.*: nothing is compiled here"
        ):
            refused(function)


def test_programs_that_ask_whether_there_are_others():
    dist = dt.distributed
    assert not dist.is_available() and not dist.is_initialized()
    assert not dist.is_nccl_available() and not dist.is_torchelastic_launched()
    for name in ("get_rank", "get_world_size", "destroy_process_group"):
        with pytest.raises(ValueError, match="Default process group has not been initialized"):
            getattr(dist, name)()
    assert dist.ReduceOp.SUM is not dist.ReduceOp.AVG


def test_folder_of_the_hub(monkeypatch, tmp_path):
    for name, value in (("TORCH_HOME", None), ("XDG_CACHE_HOME", str(tmp_path))):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert dt.hub.get_dir() == torch.hub.get_dir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert dt.hub.get_dir() == torch.hub.get_dir()
    monkeypatch.setattr(dt.hub, "_folder", {})
    dt.hub.set_dir(tmp_path)
    assert dt.hub.get_dir() == str(tmp_path)


def test_libraries_that_are_not_there():
    for name in ("cudnn", "mps", "mkl", "mkldnn", "openmp"):
        library = getattr(dt.backends, name)
        assert not library.is_available()
        for flag in ("enabled", "deterministic"):
            setattr(library, flag, True)
        with library.flags(enabled=False):
            assert library.enabled is False
        assert library.enabled is True
        library.enabled = False
    cuda = dt.backends.cuda
    cuda.matmul.allow_tf32 = False
    cuda.enable_flash_sdp(True)
    assert cuda.flash_sdp_enabled() is True and cuda.math_sdp_enabled() is True
    cuda.enable_flash_sdp(False)
    with cuda.sdp_kernel(enable_flash=False):
        pass
    assert dt.backends.cpu.get_cpu_capability() == "DEFAULT"


def test_kinds_of_attention():
    from devtensor.nn.attention import SDPBackend, sdpa_kernel

    assert {b.name for b in SDPBackend} >= {
        "MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"
    }  # fmt: skip
    q = dt.ones(1, 2, 4)
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]), sdpa_kernel(SDPBackend.MATH):
        assert dt.nn.functional.scaled_dot_product_attention(q, q, q).shape == (1, 2, 4)
    with pytest.raises(AssertionError, match="instance of SDPBackend"), sdpa_kernel("math"):
        pass


def test_determinism_is_asked_for_as_in_pytorch():
    seen = []
    for lib in (dt, torch):
        asked = (
            lambda lib=lib: lib.use_deterministic_algorithms(True),
            lambda lib=lib: lib.use_deterministic_algorithms(True, warn_only=True),
            lambda lib=lib: lib.set_deterministic_debug_mode("error"),
            lambda lib=lib: lib.set_deterministic_debug_mode(1),
            lambda lib=lib: lib.set_deterministic_debug_mode(3),
            lambda lib=lib: lib.set_deterministic_debug_mode("loud"),
            lambda lib=lib: lib.set_deterministic_debug_mode(None),
            lambda lib=lib: lib.use_deterministic_algorithms(False),
        )
        rows = []
        for ask in asked:
            try:
                error = ask()
            except (RuntimeError, TypeError) as refused:
                error = type(refused)
            rows.append((
                error,
                lib.are_deterministic_algorithms_enabled(),
                lib.is_deterministic_algorithms_warn_only_enabled(),
                lib.get_deterministic_debug_mode(),
            ))  # fmt: skip
        seen.append(rows)
    assert seen[0] == seen[1]


def test_settings_are_taken():
    dt.set_deterministic_debug_mode("default")
    dt.set_warn_always(True)
    assert dt.is_warn_always_enabled() and dt.get_deterministic_debug_mode() == 0
    dt.set_warn_always(False)
    assert dt.set_flush_denormal(True) is False and not dt.is_vulkan_available()
    assert isinstance(dt.strided, dt.layout) and str(dt.sparse_coo) == "torch.sparse_coo"
    assert dt.version.cuda is None and dt.version.__version__ == dt.__version__
    assert "devtensor" in dt.__config__.show() and "threads" in dt.__config__.parallel_info()
    texts = dt.utils.collect_env.get_pretty_env_info(), dt.__config__.show()
    one, other = [re.sub(r"[\d.]+ free", "some free", text) for text in texts]
    assert one == other


def test_the_host_as_a_device():
    cpu = dt.cpu
    assert cpu.is_available() and cpu.device_count() == 1 and cpu.current_device() == "cpu"
    with cpu.stream(cpu.current_stream()):
        event = cpu.Event()
        event.record()
        event.synchronize()
        assert event.query()
    cpu.synchronize()
    assert cpu.amp.autocast is dt.autocast


def test_types_of_annotations():
    from devtensor import types

    assert isinstance(dt.device("cpu"), types.Device) and isinstance(2, types.Number)
    assert set(types.__all__) <= {*torch.types.__all__}


def test_tensors_by_another_kind_of_device():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert dt.cuda.FloatTensor is dt.cuda.FloatTensor
    assert not isinstance(dt.ones(1), dt.cuda.FloatTensor)
    assert isinstance(dt.ones(1), dt.FloatTensor)
    with pytest.raises(AttributeError, match="has no attribute 'ShineTensor'"):
        dt.cuda.ShineTensor  # noqa: B018


def test_modules_that_are_not_here():
    module = counterpart("torch.distributed.tensor.placement")
    assert module is counterpart("torch.distributed.tensor.placement")
    assert not isinstance(1, module.Shard) and module.is_sharded(1) is False
    with pytest.raises(NotImplementedError, match=r"^torch\.distributed\.tensor\.placement\.Shard"):
        module.Shard(0)
    with pytest.raises(ModuleNotFoundError, match=r"torch\.shine"):
        counterpart("torch.shine.inner")
    with pytest.raises(NotImplementedError, match=r"^torch\.float8_e4m3fn: no array library"):
        dt.float8_e4m3fn()
    with pytest.raises(AttributeError, match="shine"):
        dt.float8_shine  # noqa: B018


@pytest.mark.parametrize(
    "name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
)
def test_limits_of_types_that_are_not_here(name):
    ours, theirs = dt.finfo(getattr(dt, name)), torch.finfo(getattr(torch, name))
    for limit in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, limit) == getattr(theirs, limit)


def test_files_of_layers():
    for file, names in {
        "batchnorm": "_BatchNorm _NormBase BatchNorm2d",
        "instancenorm": "_InstanceNorm InstanceNorm1d",
        "conv": "_ConvNd Conv2d",
        "loss": "_Loss _WeightedLoss TripletMarginLoss",
        "activation": "MultiheadAttention",
        "module": "_IncompatibleKeys Module",
        "padding": "_ConstantPadNd",
    }.items():
        ours = counterpart(f"torch.nn.modules.{file}")
        theirs = counterpart_of_torch(f"torch.nn.modules.{file}")
        for name in names.split():
            assert isinstance(getattr(ours, name), type) and hasattr(theirs, name)
        assert not hasattr(ours, "Shine")
    modules = dt.nn.modules
    assert isinstance(dt.nn.BatchNorm2d(1), modules.batchnorm._BatchNorm)
    assert not isinstance(dt.nn.Conv1d(1, 1, 1), modules.batchnorm._NormBase)
    for name in ("weight_norm", "spectral_norm"):  # a function, and the file that has it
        assert getattr(counterpart(f"torch.nn.utils.{name}"), name) is getattr(dt.nn.utils, name)


def test_the_older_name_of_transforms():
    assert counterpart("functorch") is dt.func
    with pytest.raises(ModuleNotFoundError, match="shine"):
        counterpart("functorch.shine")


def counterpart_of_torch(name):
    from importlib import import_module

    return import_module(name)


CHECKS = ["_check", "_check_index", "_check_value", "_check_type", "_check_not_implemented"]


@pytest.mark.parametrize("name", CHECKS)
def test_checks_raise_as_in_pytorch(name):
    for library in (dt, torch):
        check = getattr(library, name)
        check(True, lambda: "never")
        with pytest.raises(Exception, match="what happened") as raised:
            check(False, lambda: "what happened")
        with pytest.raises(TypeError, match="cond must be a bool"):
            check(library.tensor(True))
        with pytest.raises(TypeError, match="message must be a callable"):
            check(False, "text")
        if library is dt:
            ours = raised.type
    assert ours is raised.type


def test_checks_of_tensors_and_sizes():
    with pytest.raises(RuntimeError, match="some"):
        dt._check_tensor_all(dt.tensor([True, False]), lambda: "some")
    with pytest.raises(TypeError, match=r"must have dtype torch\.bool"):
        dt._check_tensor_all(dt.ones(2))
    with pytest.raises(AssertionError, match="no"):
        dt._assert(False, "no")
    dt._check_is_size(2, max=3)
    with pytest.raises(RuntimeError):
        dt._check_is_size(-1)


def test_automatic_precision_is_kept_out():
    from devtensor import _C

    keys = _C.DispatchKeySet(_C.DispatchKey.AutocastCPU) | _C.DispatchKey.AutocastCUDA
    x = dt.ones(2, 2)
    with dt.autocast("cpu", dtype=dt.bfloat16):
        assert (x @ x).dtype is dt.bfloat16
        with _C._ExcludeDispatchKeyGuard(keys):
            assert (x @ x).dtype is dt.float32
    assert _C._get_tracing_state() is None and _C._jit_set_profiling_mode(False) is False


def test_flags_are_true_or_false_where_calls_are_quick():
    for m in (dt, torch):
        for call in (
            lambda m: m.ones(2, 2).sum(0, keepdim=2),
            lambda m: m.ones(2, 2).sum(0, 1),
            lambda m: m.ones(2, 2).max(1, keepdim="yes"),
        ):
            with pytest.raises(TypeError, match="must be bool"):
                call(m)
    assert dt.ones(2, 2).sum(0, keepdim=np.bool_(True)).shape == (1, 2)


def test_a_module_is_no_part_of_what_is_not_here():
    code = "import devtensor as dt; print(isinstance(1, dt.distributed.fsdp.FSDPModule))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        dt.distributed.nothing  # noqa: B018
