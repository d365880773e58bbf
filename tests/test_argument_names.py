"""Calls by PyTorch's names of arguments, and in its order, give what they give there."""

# ruff: noqa: E501

import io
import pickle
import warnings

import pytest
import torch

import devtensor as dt

CALLS = """
t.arange(4).split(split_size=2)
t.arange(4).split(split_size=[1, 3])
t.arange(6).tensor_split(sections=2)
t.tensor_split(t.arange(6), indices=(2, 3))
t.tensor_split(t.arange(6), tensor_indices_or_sections=t.tensor([2, 3]))
t.ones(2, 3).swapdims(dim0=0, dim1=1).shape
t.ones(2, 3).swapaxes(axis0=0, axis1=1).shape
t.swapaxes(t.ones(2, 3), axis0=0, axis1=1).shape
t.hsplit(t.arange(4), sections=2)
t.hsplit(t.arange(4), indices=(1, 2))
t.arange(4).hsplit(sections=2)
t.vsplit(t.ones(4, 1), sections=2)
t.dsplit(t.ones(1, 1, 4), indices=(2,))
t.ones(2).resize_(3, memory_format=t.contiguous_format).shape
t.ones(2).resize_((3, 1)).shape
t.ones(4).set_(t.arange(6.0).untyped_storage(), 1, (2,), (2,))
t.zeros(0).set_(source=t.arange(6.0), storage_offset=1, size=(2,), stride=(2,))
t.isin(t.arange(3), test_element=1)
t.isin(element=1, test_elements=t.arange(3))
t.result_type(tensor=t.ones(1), other=t.ones(1, dtype=t.float64))
t.result_type(tensor=t.ones(1), other=2)
t.result_type(scalar=2, tensor=t.ones(1))
t.result_type(scalar1=2, scalar2=2.0)
t.compile(lambda x: x, name='a', recompile_limit=3)(1)
t.nn.functional.celu(t.ones(1), alpha=2.0, inplace=True)
t.nn.functional.hardtanh(t.ones(1), min_val=-2.0, max_val=0.5)
t.sort(t.arange(3), stable=True, descending=True, dim=0).values
t.mean(input=t.ones(2), dim=0, dtype=t.float64)
t.sum(t.ones(2, 2), axis=1, keepdims=True)
t.ones(2, 2).sum(axis=0)
t.max(t.ones(2, 2), axis=0).values
t.cat(tensors=[t.ones(1)], axis=0)
t.concat([t.ones(1)], dim=0)
t.stack(tensors=(t.ones(1),), dim=0)
t.ones(2, 2).std(dim=0, correction=0)
t.std(t.ones(3), unbiased=False)
t.var(t.ones(3), correction=1)
t.ones(2).norm(p=2, dim=0, keepdim=True)
t.norm(t.ones(2, 2), p='fro', dim=(0, 1))
t.randn(size=(2,), generator=t.Generator().manual_seed(0), dtype=t.float64, device='cpu', requires_grad=True, layout=t.strided, pin_memory=False).shape
t.zeros(size=(2,), out=t.ones(2))
t.full(size=(2,), fill_value=3)
t.full((2,), 3.0, out=t.zeros(2))
t.arange(start=1, end=4, step=2)
t.arange(1, 4, out=t.empty(0, dtype=t.long))
t.linspace(start=0, end=1, steps=3)
t.logspace(0, 1, steps=2, base=2)
t.eye(n=2, m=3)
t.randint(low=0, high=2, size=(2,)).shape
t.randint(high=2, size=(2,)).shape
t.randperm(n=3).shape
t.normal(mean=t.zeros(2), std=1.0).shape
t.normal(mean=0.0, std=1.0, size=(2,)).shape
t.bernoulli(t.ones(2), p=1.0)
t.multinomial(t.ones(3), num_samples=1, replacement=True).shape
t.where(condition=t.tensor([True]), input=t.ones(1), other=0)
t.clamp(t.ones(2), min=None, max=0.5)
t.clip(t.ones(2), 0, 0.5)
t.ones(2).clamp(min=t.zeros(2))
t.gather(input=t.ones(2, 2), dim=0, index=t.zeros(1, 2, dtype=t.long), sparse_grad=False)
t.zeros(3).scatter_(0, t.tensor([1]), value=2.0)
t.zeros(3).scatter_(dim=0, index=t.tensor([1]), src=t.ones(1))
t.zeros(3).scatter(0, t.tensor([1]), 5, reduce='add')
t.zeros(3).scatter_add_(dim=0, index=t.tensor([1]), src=t.ones(1))
t.zeros(3).scatter_reduce_(0, t.tensor([1]), t.ones(1), reduce='amax', include_self=False)
t.zeros(3).index_fill_(dim=0, index=t.tensor([1]), value=2)
t.zeros(3).index_add_(dim=0, index=t.tensor([1]), source=t.ones(1), alpha=2)
t.zeros(3).index_copy_(0, t.tensor([1]), t.ones(1))
t.zeros(3).index_put_(indices=(t.tensor([1]),), values=t.ones(1), accumulate=True)
t.index_select(input=t.ones(2), dim=0, index=t.tensor([0]))
t.masked_fill(t.ones(2), mask=t.tensor([True, False]), value=0)
t.ones(2).masked_fill_(t.tensor([True, False]), t.tensor(4.0))
t.ones(2).masked_scatter_(mask=t.tensor([True, False]), source=t.zeros(2))
t.repeat_interleave(t.arange(2), repeats=2, dim=0)
t.repeat_interleave(t.arange(2), t.tensor([1, 2]), output_size=3)
t.ones(2).repeat(repeats=(2, 2)).shape
t.tile(t.ones(2), dims=(2,))
t.ones(2).tile((2, 1)).shape
t.ones(2).expand(size=(3, 2)).shape
t.ones(2, 1).permute(dims=(1, 0)).shape
t.permute(input=t.ones(2, 1), dims=(1, 0)).shape
t.ones(4).view(size=(2, 2)).shape
t.ones(4).view(dtype=t.int32)
t.ones(4).reshape(shape=(2, 2)).shape
t.reshape(input=t.ones(4), shape=(2, 2)).shape
t.flatten(t.ones(2, 2), start_dim=0, end_dim=-1)
t.unflatten(t.ones(4), dim=0, sizes=(2, 2)).shape
t.squeeze(t.ones(1, 2), dim=(0,)).shape
t.unsqueeze(input=t.ones(1), dim=0).shape
t.transpose(t.ones(1, 2), dim0=0, dim1=1).shape
t.movedim(t.ones(1, 2), source=0, destination=1).shape
t.moveaxis(t.ones(1, 2), source=0, destination=1).shape
t.flip(t.arange(3), dims=(0,))
t.arange(3).flip(0)
t.arange(4).reshape(2, 2).flip(0, 1)
t.roll(t.arange(3), shifts=1, dims=0)
t.rot90(t.ones(2, 3), k=1, dims=(0, 1)).shape
t.topk(t.arange(3), k=2, dim=0, largest=False, sorted=True).values
t.argsort(t.arange(3), dim=0, descending=True, stable=True)
t.argmax(t.arange(3), dim=0, keepdim=True)
t.arange(3).argmax(axis=0)
t.cumsum(t.arange(3), dim=0, dtype=t.float32)
t.arange(3).cumsum(axis=0)
t.prod(t.arange(3), dim=0, keepdim=True)
t.any(t.ones(2, 2), dim=(0, 1))
t.all(t.ones(2, 2), dim=0, keepdim=True)
t.unique(t.tensor([1, 1]), sorted=True, return_inverse=True, return_counts=True, dim=None)
t.unique_consecutive(t.tensor([1, 1]), return_counts=True)
t.bincount(t.tensor([1, 1]), weights=t.ones(2), minlength=3)
t.histc(t.ones(2), bins=2, min=0, max=2)
t.bucketize(t.ones(1), boundaries=t.arange(3.0), right=True, out_int32=True)
t.searchsorted(t.arange(3.0), t.ones(1), side='right')
t.matmul(input=t.ones(2, 2), other=t.ones(2))
t.mm(t.ones(1, 2), mat2=t.ones(2, 1))
t.bmm(input=t.ones(1, 1, 2), mat2=t.ones(1, 2, 1))
t.addmm(t.ones(1, 1), mat1=t.ones(1, 2), mat2=t.ones(2, 1), beta=2, alpha=3)
t.addcmul(t.ones(1), tensor1=t.ones(1), tensor2=t.ones(1), value=2)
t.addcdiv(t.ones(1), t.ones(1), t.ones(1), value=2)
t.add(input=t.ones(1), other=2, alpha=3)
t.sub(t.ones(1), 1, alpha=2)
t.div(t.ones(1), other=2, rounding_mode='floor')
t.true_divide(t.ones(1), 2)
t.lerp(t.ones(1), end=t.ones(1), weight=0.5)
t.allclose(input=t.ones(1), other=t.ones(1), rtol=1e-05, atol=1e-08, equal_nan=True)
t.isclose(t.ones(1), t.ones(1), equal_nan=True)
t.softmax(t.ones(2), dim=0, dtype=t.float64)
t.ones(2).softmax(dim=-1, dtype=t.float64)
t.nn.functional.softmax(t.ones(2), dim=0, _stacklevel=3, dtype=t.float64)
t.log_softmax(t.ones(2), 0, t.float64)
t.nn.functional.gelu(t.ones(1), approximate='tanh')
t.nn.functional.cross_entropy(t.ones(1, 2), target=t.tensor([1]), weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.1)
t.nn.functional.interpolate(t.ones(1, 1, 2, 2), size=None, scale_factor=2, mode='bilinear', align_corners=False, recompute_scale_factor=None, antialias=False).shape
t.nn.functional.pad(t.ones(2), pad=(1, 1), mode='constant', value=None)
t.nn.functional.one_hot(t.tensor([0]), num_classes=2)
t.nn.functional.dropout(t.ones(2), p=0.5, training=False, inplace=False)
t.nn.functional.embedding(t.tensor([0]), weight=t.ones(1, 1), padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False)
t.nn.functional.normalize(t.ones(2), p=2.0, dim=0, eps=1e-12, out=None)
t.nn.functional.scaled_dot_product_attention(t.ones(1, 1, 2), key=t.ones(1, 1, 2), value=t.ones(1, 1, 2), attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False)
t.nn.functional.grid_sample(t.ones(1, 1, 2, 2), grid=t.zeros(1, 1, 1, 2), mode='bilinear', padding_mode='zeros', align_corners=None)
t.nn.functional.unfold(t.ones(1, 1, 2, 2), kernel_size=2, dilation=1, padding=0, stride=1)
t.tensor([1.0], dtype=None, device=None, requires_grad=True, pin_memory=False)
t.ones(2).to(device='cpu', dtype=t.float64, non_blocking=True, copy=True, memory_format=t.preserve_format)
t.ones(2).to(t.ones(1, dtype=t.int32))
t.ones(2).type(dtype='torch.DoubleTensor', non_blocking=False)
t.ones(2).new_zeros(size=(2,), dtype=t.int32, device='cpu', requires_grad=False, layout=t.strided, pin_memory=False)
t.ones(2).new_full(size=(2,), fill_value=1)
t.ones(2).new_tensor(data=[1], dtype=None, requires_grad=False)
t.ones(2).new_empty((2,)).shape
t.zeros_like(input=t.ones(2), dtype=None, layout=None, device=None, requires_grad=False, memory_format=t.preserve_format)
t.rand_like(t.ones(2), generator=t.Generator()).shape
t.randint_like(t.ones(2), low=0, high=3).shape
t.empty(2, memory_format=t.contiguous_format).shape
t.clone(t.ones(1), memory_format=t.preserve_format)
t.ones(2).numpy(force=True)
t.ones(2).uniform_(0, 1, generator=None).shape
t.ones(2).normal_(mean=0, std=1, generator=None).shape
t.ones(2).bernoulli_(p=1.0)
t.ones(2).exponential_(lambd=1.0).shape
t.ones(2).random_(0, to=2).shape
t.ones(2).geometric_(p=0.5).shape
t.ones(2).log_normal_(mean=1, std=2).shape
t.ones(2).cauchy_(median=0, sigma=1).shape
t.ones(3, 3).tril(diagonal=1)
t.triu(t.ones(2, 2), diagonal=1, out=t.empty(2, 2))
t.diag(t.ones(2), diagonal=1)
t.diagonal(t.ones(2, 2), offset=0, dim1=0, dim2=1)
t.diag_embed(t.ones(2), offset=0, dim1=-2, dim2=-1)
t.meshgrid(t.arange(2), t.arange(2), indexing='ij')[0]
t.meshgrid([t.arange(2)], indexing='xy')[0]
t.cdist(x1=t.ones(1, 2), x2=t.ones(1, 2), p=2.0, compute_mode='use_mm_for_euclid_dist_if_necessary')
t.combinations(t.arange(3), r=2, with_replacement=False)
t.quantile(t.arange(3.0), q=0.5, dim=0, keepdim=True, interpolation='linear')
t.nan_to_num(t.tensor([float('nan')]), nan=1.0, posinf=None, neginf=None)
t.logsumexp(t.ones(2), dim=0, keepdim=True)
t.std_mean(t.arange(3.0), dim=0, correction=0)
t.kthvalue(t.arange(3), k=1, dim=0, keepdim=False).values
t.stft(t.ones(16), n_fft=8, hop_length=2, win_length=8, window=t.ones(8), center=True, pad_mode='reflect', normalized=False, onesided=True, return_complex=True).shape
t.einsum('i,i->', t.ones(2), t.ones(2))
t.tensordot(t.ones(2, 2), t.ones(2, 2), dims=([0], [0]))
t.cross(t.ones(3), t.ones(3), dim=0)
t.outer(input=t.ones(1), vec2=t.ones(1))
t.chunk(input=t.arange(4), chunks=2, dim=0)
t.unbind(t.ones(2), dim=0)
t.narrow(input=t.arange(4), dim=0, start=1, length=2)
t.arange(4).narrow(0, t.tensor(1), 2)
t.select(t.ones(2, 2), dim=0, index=0)
t.take_along_dim(t.ones(2), indices=t.tensor([0]), dim=0)
t.frombuffer(bytearray(4), dtype=t.int32, count=-1, offset=0, requires_grad=False)
t.save(obj=1, f=io.BytesIO(), pickle_module=pickle, pickle_protocol=2, _use_new_zipfile_serialization=True)
t.autograd.grad(outputs=(t.ones(1, requires_grad=True) * 2).sum(), inputs=[t.ones(1, requires_grad=True)], grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=True, is_grads_batched=False, materialize_grads=False)
t.addmm(t.ones(1, 1), t.ones(1, 2), t.ones(2, 1), out=t.empty(1, 1))
t.nn.utils.clip_grad_norm_(parameters=[t.nn.Parameter(t.ones(1))], max_norm=1.0, norm_type=2.0, error_if_nonfinite=False, foreach=None)
t.nn.utils.rnn.pad_sequence(sequences=[t.ones(1), t.ones(2)], batch_first=True, padding_value=0.0, padding_side='left')
t.ones(1, requires_grad=True).sum().backward(gradient=None, retain_graph=None, create_graph=False, inputs=None)
t.nn.Linear(1, 1).to(device='cpu', dtype=t.float64, non_blocking=True).weight.dtype
t.nn.Linear(1, 1).load_state_dict(state_dict=t.nn.Linear(1, 1).state_dict(), strict=True, assign=False)
t.nn.Linear(1, 1).state_dict(destination=None, prefix='a.', keep_vars=True).keys()
t.as_strided(t.arange(4), size=(2,), stride=(2,), storage_offset=1)
t.ones(2).sum(0, dtype=t.float64)
t.ones(2, 2).mean((0, 1))
t.ones(2, 2).mean(axis=(0, 1), keepdim=True)
t.ones(2, 2).amax(dim=(0,), keepdim=True)
t.ones(2, 2).max(dim=-1, keepdim=True).indices
t.ones(2, 2).min(1)[0]
t.maximum(t.ones(1), other=t.ones(1))
t.fmod(t.ones(1), 2)
t.remainder(5, t.tensor(3))
t.multiply(t.ones(1), 2)
t.hypot(t.ones(1), other=t.ones(1))
t.floor_divide(t.ones(1), 2)
t.bitwise_and(t.tensor(1), 1)
t.logical_not(t.ones(1))
t.equal(input=t.ones(1), other=t.ones(1))
t.eq(t.ones(1), other=1)
t.numel(input=t.ones(1))
t.cov(t.ones(2, 2), correction=1, fweights=None, aweights=None)
t.corrcoef(t.arange(4.0).reshape(2, 2))
t.trapezoid(t.ones(2), dx=1.0)
t.diff(t.arange(3), n=1, dim=-1, prepend=None, append=None)
t.vander(t.arange(3), N=2, increasing=True)
t.nn.functional.conv2d(t.ones(1, 1, 2, 2), weight=t.ones(1, 1, 1, 1), bias=None, stride=1, padding='same', dilation=1, groups=1)
t.nn.functional.max_pool2d(t.ones(1, 2, 2), kernel_size=2, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=True)
t.nn.functional.avg_pool2d(t.ones(1, 2, 2), kernel_size=2, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)
t.nn.functional.layer_norm(t.ones(2), normalized_shape=(2,), weight=None, bias=None, eps=1e-05)
t.nn.functional.batch_norm(t.ones(2, 2), None, None, weight=None, bias=None, training=True, momentum=0.1, eps=1e-05)
t.nn.functional.kl_div(t.ones(2), t.ones(2), size_average=None, reduce=None, reduction='sum', log_target=False)
t.nn.functional.mse_loss(t.ones(2), t.ones(2), size_average=None, reduce=None, reduction='none', weight=t.ones(2))
t.nn.functional.l1_loss(t.ones(2), t.ones(2), weight=t.ones(2))
t.nn.functional.smooth_l1_loss(t.ones(2), t.ones(2), beta=2.0)
t.nn.functional.huber_loss(t.ones(2), t.ones(2), reduction='mean', delta=1.0, weight=t.ones(2))
t.nn.functional.binary_cross_entropy_with_logits(t.ones(2), t.ones(2), weight=None, pos_weight=t.ones(2))
t.nn.functional.gumbel_softmax(t.ones(2), tau=1, hard=True, eps=1e-10, dim=-1).sum()
t.softmax(t.ones(2), 0, t.float64)
t.ones(2).softmax(0, t.float64)
t.ones(2).log_softmax(0, t.float64)
t.special.softmax(t.ones(2), 0, t.float64)
t.split(t.arange(4), 2, dim=0)
"""


@pytest.mark.parametrize("call", CALLS.strip().split("\n"))
def test_a_call(call):
    found = []
    for t in (torch, dt):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = eval(call, {"t": t, "io": io, "pickle": pickle})
        found.append(str(made).replace("devtensor", "torch"))
    assert found[1] == found[0]


@pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])
def test_names_that_are_none(t):
    x = t.ones(2)
    for call in (
        lambda: t.result_type(x, x, x),
        lambda: t.result_type(x, second=x),
        lambda: t.compile(abs, nme="a"),
        lambda: x.resize_(2, memory=None),
        lambda: t.tensor_split(x, parts=2),
    ):
        with pytest.raises(TypeError):
            call()
