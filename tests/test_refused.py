"""Names for what is not here: they are there, say so, and leave programs alone that ask first."""

import warnings

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
    "fx": "Graph GraphModule Interpreter Node Proxy Tracer Transformer symbolic_trace",
    "library": "triton_op opcheck register_autocast",
    "distributed": "init_process_group all_reduce barrier broadcast all_gather new_group",
    "distributed.fsdp": "fully_shard FullyShardedDataParallel",
    "nn.parallel": "DistributedDataParallel",
    "sparse": "sampled_addmm softmax spdiags",
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
        "sparse.sparse_coo_tensor", "sparse.sparse_csr_tensor", "sparse.sparse_csc_tensor",
        "sparse.sparse_bsr_tensor", "sparse.sparse_bsc_tensor",
        "sparse.sparse_compressed_tensor", "sparse.FloatTensor", "sparse.DoubleTensor",
        "sparse.LongTensor",
    }  # fmt: skip


def test_marks_do_nothing():
    def function(x):
        return x + 1

    jit, compiler = dt.jit, dt.compiler
    for mark in (
        jit.ignore, jit.ignore(), jit.ignore(drop=True), jit.unused, jit.export, jit.interface,
        jit.script_if_tracing, jit._overload, compiler.disable, compiler.disable(recursive=False),
        compiler.allow_in_graph, compiler.compile, dt.compile, dt.compile(mode="max-autotune"),
        dt.fx.wrap,
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
    assert dt.compile(model, fullgraph=True, dynamic=True, backend="eager") is model
    with pytest.raises(RuntimeError, match="can't be specified at the same time"):
        dt.compile(model, mode="default", options={})
    with pytest.raises(TypeError):
        dt.compile(model, shine=True)


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


def test_settings_are_taken():
    dt.set_deterministic_debug_mode("default")
    dt.set_warn_always(True)
    assert dt.is_warn_always_enabled() and dt.get_deterministic_debug_mode() == 0
    dt.set_warn_always(False)
    assert dt.set_flush_denormal(True) is False and not dt.is_vulkan_available()
    assert isinstance(dt.strided, dt.layout) and str(dt.sparse_coo) == "torch.sparse_coo"
    assert dt.version.cuda is None and dt.version.__version__ == dt.__version__
    assert "devtensor" in dt.__config__.show() and "threads" in dt.__config__.parallel_info()
    assert dt.utils.collect_env.get_pretty_env_info() == dt.__config__.show()


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
