"""What the package imports when it is asked for: modules, and names that stand in some of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from devtensor.refusal import absent

__all__ = ["find"]

MODULES = {
    "_C",
    "_lobpcg",
    "_tensor_str",
    "_utils",
    "_dynamo",
    "__config__",
    "alias",
    "amp",
    "array_api",
    "backends",
    "compiler",
    "cpu",
    "cuda",
    "distributed",
    "distributions",
    "fft",
    "func",
    "functional",
    "futures",
    "fx",
    "hub",
    "jit",
    "library",
    "masked",
    "multiprocessing",
    "onnx",
    "overrides",
    "profiler",
    "quasirandom",
    "return_types",
    "nested",
    "signal",
    "sparse",
    "storage",
    "testing",
    "torch_version",
    "types",
    "version",
}
HOMES = {
    "accelerator": "get_device_module",
    "amp.autocast_mode": "autocast autocast_decrement_nesting autocast_increment_nesting "
    "clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
    "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled "
    "set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled "
    "set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype",
    "amp.grad_scaler": "GradScaler",
    "sparse": "sparse_coo_tensor sparse_csr_tensor sparse_csc_tensor sparse_bsr_tensor "
    "sparse_bsc_tensor sparse_compressed_tensor spmm dsmm hspmm hsmm saddmm smm sspaddmm "
    "_convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo",
    "native": "adaptive_max_pool1d affine_grid_generator alpha_dropout alpha_dropout_ batch_norm "
    "binary_cross_entropy_with_logits cosine_embedding_loss ctc_loss dropout_ embedding "
    "feature_alpha_dropout frobenius_norm grid_sampler grid_sampler_2d grid_sampler_3d "
    "group_norm gru gru_cell hinge_embedding_loss instance_norm kl_div layer_norm lstm "
    "lstm_cell margin_ranking_loss native_batch_norm native_dropout native_group_norm "
    "native_layer_norm norm_except_dim nuclear_norm poisson_nll_loss rms_norm "
    "rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell triplet_margin_loss",
    "control": "cond while_loop",
    "fakequantize": "fake_quantize_per_channel_affine fake_quantize_per_tensor_affine",
    "dispatched": "convolution embedding_bag",
    # These have the same arguments in both places.
    "nn.functional": "bilinear channel_shuffle cosine_similarity pairwise_distance pdist "
    "pixel_shuffle pixel_unshuffle rrelu_",
    "func": "vmap",
    "futures": "Future",
    "jit": "ScriptFunction ScriptModule",
    "checks": "_assert _assert_async _check _check_index _check_is_size _check_not_implemented "
    "_check_tensor_all _check_tensor_all_with _check_type _check_value _check_with",
    "_lobpcg": "lobpcg",
    "storage": "PyTorchFileReader PyTorchFileWriter TypedStorage UntypedStorage BFloat16Storage "
    "BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage "
    "FloatStorage HalfStorage IntStorage LongStorage ShortStorage from_file",
    "types": "Event Stream SymBool SymFloat SymInt sym_float sym_int sym_ite sym_max sym_min "
    "sym_not sym_sqrt sym_sum",
    "ops.segments": "_segment_reduce",
    "utils.dlpack": "to_dlpack",
}
"""A module, and the names of it that the package has, too."""

METHODS = {
    "addmv_", "clamp_", "clamp_max_", "clamp_min_", "clip_", "detach_", "gcd_", "get_device",
    "is_conj", "is_neg", "is_same_size", "is_signed", "lcm_", "ldexp_", "resize_as_",
    "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "xlogy_",
}  # fmt: skip
"""Methods of tensors that PyTorch has as functions, too."""

ELSEWHERE = {
    "torch": "devtensor",
    "_tensor": "devtensor.tensor",
    "_custom_ops": "devtensor.library",
}
"""Modules by names that PyTorch has, too: ``torch.torch`` is written in some programs."""

HOME = {name: module for module, names in HOMES.items() for name in names.split()}


def find(name: str) -> Any:
    """What the package has by a name, imported now.

    Raises
    ------
    AttributeError
        If that is nothing.
    """
    if name in HOME:
        return getattr(import_module(f"devtensor.{HOME[name]}"), name)
    if name.startswith("_foreach_"):
        return getattr(import_module("devtensor.foreach"), name)
    if name in METHODS:
        return getattr(import_module("devtensor.tensor").Tensor, name)
    if name in ELSEWHERE:
        return import_module(ELSEWHERE[name])
    if name in MODULES:
        return import_module(f"devtensor.{name}")
    if module := absent(name):
        return module
    raise AttributeError(f"module 'devtensor' has no attribute {name!r}")
