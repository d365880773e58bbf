"""Views and rearrangements against PyTorch: values, gradients, shared memory, errors."""

import pytest
from beside_torch import floats, ints, refused, same

import devtensor as dt

CUBE = floats(2, 3, 4)

CALLS = {
    "view": lambda m, x: x.view(4, -1),
    "view_tuple": lambda m, x: x.view((2, 12)),
    "view_size": lambda m, x: x.view(x.shape),
    "reshape_none": lambda m, x: x.reshape(-1),
    "reshape_permuted": lambda m, x: x.permute(2, 0, 1).reshape(4, 6),
    "reshape_list": lambda m, x: m.reshape(x, [3, 8]),
    "flatten": lambda m, x: x.flatten(),
    "flatten_part": lambda m, x: m.flatten(x, 1, 2),
    "unflatten": lambda m, x: x.unflatten(2, (2, -1)),
    "squeeze_all": lambda m, x: x[:, :1, :, None].squeeze(),
    "squeeze_dims": lambda m, x: x[:, :1, :, None].squeeze((1, -1)),
    "squeeze_other": lambda m, x: x.squeeze(1),
    "unsqueeze": lambda m, x: (x.unsqueeze(0), x.unsqueeze(-1), x.unsqueeze(2)),
    "transpose": lambda m, x: (x.transpose(0, 2), x.swapaxes(-1, 0), x.swapdims(0, 0)),
    "t": lambda m, x: (x[0].t(), x[0, 0].t(), x[0, 0, 0].t()),
    "T": lambda m, x: (x[0].T, x[0].mT, x[0].H, x.mT, x.mH, x.adjoint()),
    "permute": lambda m, x: (x.permute(2, 0, 1), x.permute((0, -1, 1)), m.permute(x, (1, 0, 2))),
    "movedim": lambda m, x: (x.movedim(0, 2), m.movedim(x, (0, 2), (1, 0)), m.moveaxis(x, -1, 0)),
    "expand": lambda m, x: (
        x[:, :1].expand(2, 5, 4),
        x.expand(3, -1, -1, -1),
        x[:, :, :1].expand(-1, -1, 6),
    ),
    "expand_same": lambda m, x: x.expand(2, 3, 4) * 2,
    "expand_zero": lambda m, x: x[:, :1].expand(2, 0, 4),
    "broadcast_to": lambda m, x: m.broadcast_to(x[0, :, :1], (5, 3, 4)),
    "sum_to_size": lambda m, x: (x.sum_to_size(3, 1), x.sum_to_size((2, 3, 4)), x.sum_to_size(1)),
    "broadcast_tensors": lambda m, x: m.broadcast_tensors(x[:, :1], x[0]),
    "narrow": lambda m, x: (x.narrow(2, 1, 2), m.narrow(x, -1, -3, 2)),
    "select": lambda m, x: (x.select(1, -1), m.select(x, 0, 1)),
    "diagonal": lambda m, x: (
        x.diagonal(),
        x.diagonal(1, 1, 2),
        x.diagonal(-1, 0, -1),
        x.diagonal(9),
    ),
    "diag": lambda m, x: (m.diag(x[0]), m.diag(x[0, 0], 1), m.diag(x[0], -1)),
    "diag_embed": lambda m, x: (m.diag_embed(x), m.diag_embed(x, 1, 0, 2), m.diag_embed(x[0], -2)),
    "diagflat": lambda m, x: (m.diagflat(x[0]), m.diagflat(x[0, 0], -1)),
    "tril": lambda m, x: (x.tril(), x.tril(-1), m.triu(x, 1), x[0].triu(-1)),
    "unfold": lambda m, x: (
        x.unfold(2, 2, 1),
        x.unfold(-1, 3, 2),
        x.unfold(0, 1, 1),
        x[:, 0].unfold(1, 4, 1),
    ),
    "unfold_number": lambda m, x: x[0, 0, 0].unfold(0, 1, 1),
    "as_strided": lambda m, x: (
        x.as_strided((2, 3), (1, 2)),
        x.as_strided((2, 2), (2, 3), 5),
        m.as_strided(x, (3, 3), (1, 0)),
    ),
    "split": lambda m, x: (x.split(2, 1), m.split(x, [1, 3], -1), x.split(9)),
    "split_one_used": lambda m, x: x.split(2, 2)[1] * 3,
    "chunk": lambda m, x: (x.chunk(3, 2), m.chunk(x, 5), x[:, :0].chunk(2, 1)),
    "tensor_split": lambda m, x: (
        x.tensor_split(3, 2),
        x.tensor_split((1, 9, 2), 2),
        m.tensor_split(x, 2),
    ),
    "hsplit": lambda m, x: (x.hsplit(3), x.vsplit(2), x.dsplit((1, 2)), x[0, 0].hsplit(2)),
    "unbind": lambda m, x: (x.unbind(), x.unbind(-1), m.unbind(x[0, 0])),
    "unbind_one_used": lambda m, x: x.unbind(1)[1] * 2,
    "cat": lambda m, x: (
        m.cat([x, x * 2]),
        m.cat((x, x[:, :1]), dim=1),
        m.concat([x], -1),
        m.concatenate([x, x], axis=2),
    ),
    "cat_empty": lambda m, x: (m.cat([x, m.tensor([])]), m.cat([m.tensor([]), x], -1)),
    "cat_mixed": lambda m, x: (
        m.cat([x, x.long()]),
        m.cat([x.int(), x.long()]),
        m.cat([x > 0, x.float()]),
    ),
    "stack": lambda m, x: (
        m.stack([x, x + 1]),
        m.stack((x, x), -1),
        m.stack([x[0, 0, 0], x[0, 0, 1]]),
    ),
    "hstack": lambda m, x: (
        m.hstack([x, x]),
        m.vstack([x[0], x[0, 0]]),
        m.dstack([x[0], x[0]]),
        m.hstack([x[0, 0, 0], x[0, 0]]),
    ),
    "column_stack": lambda m, x: m.column_stack((x[0, :, 0], x[0])),
    "block_diag": lambda m, x: m.block_diag(x[0], x[0, 0], x[0, 0, 0]),
    "atleast": lambda m, x: (
        m.atleast_1d(x[0, 0, 0]),
        m.atleast_2d(x[0, 0]),
        m.atleast_3d(x[0]),
        m.atleast_2d(x[0, 0], x),
    ),
    "meshgrid": lambda m, x: (
        m.meshgrid(x[0, 0], x[0, :, 0], indexing="ij"),
        m.meshgrid(x[0, 0], x[0, :, 0], indexing="xy"),
    ),
    "cartesian_prod": lambda m, x: (
        m.cartesian_prod(x[0, 0], x[0, :, 0]),
        m.cartesian_prod(x[0, 0]),
    ),
    "combinations": lambda m, x: (
        m.combinations(x[0, 0]),
        m.combinations(x[0, 0], 3),
        m.combinations(x[0, 0], 2, True),
    ),
    "repeat": lambda m, x: (x.repeat(2, 1, 3), x.repeat((2, 1, 1, 2)), x.repeat(0, 1, 1)),
    "tile": lambda m, x: (x.tile(2), m.tile(x, (2, 1, 1, 3))),
    "repeat_interleave": lambda m, x: (
        x.repeat_interleave(2),
        x.repeat_interleave(3, 1),
        x.repeat_interleave(m.tensor([1, 0, 2]), 1),
    ),
    "flip": lambda m, x: (x.flip(0), x.flip(0, -1), x.fliplr(), m.flipud(x), m.flip(x, (1,))),
    "roll": lambda m, x: (x.roll(1), x.roll(-5, 2), m.roll(x, (1, -1), (0, 2)), x.roll((1,), (1,))),
    "rot90": lambda m, x: (
        x.rot90(),
        x.rot90(2),
        x.rot90(3, (1, 2)),
        x.rot90(-1, (2, 0)),
        x.rot90(0),
    ),
    "kron": lambda m, x: (m.kron(x[0], x[1]), m.kron(x[0, 0], x)),
    "pad": lambda m, x: m.nn.functional.pad(x, (1, 2)),
    "pad_value": lambda m, x: m.nn.functional.pad(x, (1, 0, 2, 1), value=2.5),
    "pad_cut": lambda m, x: m.nn.functional.pad(x, (-1, 1, 0, -2)),
    "pad_reflect": lambda m, x: m.nn.functional.pad(x, (3, 2), mode="reflect"),
    "pad_reflect_2d": lambda m, x: m.nn.functional.pad(x, (1, 3, 2, 0), mode="reflect"),
    "pad_replicate": lambda m, x: m.nn.functional.pad(x, (2, 5, 1, 0), mode="replicate"),
    "pad_circular": lambda m, x: m.nn.functional.pad(x, (4, 1), mode="circular"),
    "pad_circular_2d": lambda m, x: m.nn.functional.pad(x[None], (1, 2, 3, 0), mode="circular"),
    "pad_mixed": lambda m, x: m.nn.functional.pad(x, (-1, 2), mode="replicate"),
    "contiguous": lambda m, x: (x.mT.contiguous(), x.contiguous()),
    "scatters": lambda m, x: (
        m.select_scatter(x, x[0], 0, 1),
        m.slice_scatter(x, x[:, :, :2], 2, 0, 4, 2),
        m.diagonal_scatter(x[0], x[0, 0, :3]),
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_as_torch(case):
    same(CALLS[case], CUBE)


@pytest.mark.parametrize(
    "case",
    [
        "flatten",
        "unsqueeze",
        "flip",
        "repeat",
        "cat",
        "roll",
        "tril",
        "reshape_none",
        "diag_embed",
        "unbind",
    ],
)
def test_ints_keep_their_type(case):
    same(CALLS[case], ints(2, 3, 4))


def test_empty_and_zero_dimensional():
    same(
        lambda m, x: (x.reshape(3, 0), x.flatten(), x.unsqueeze(0), x.expand(2, 0, 3), x.flip(1)),
        floats(0, 3),
    )
    same(
        lambda m, x: (
            x.reshape(1, 1),
            x.flatten(),
            x.expand(2, 2),
            x.squeeze(0),
            x.flip(()),
            x.repeat(3),
        ),
        floats(),
    )
    same(lambda m, x: (x.t(), x.ravel(), x.transpose(0, -1), x.tile((2,))), floats())


def test_complex_parts():
    def call(m, x):
        z = m.complex(x, x * 2)
        return z.real, z.imag, m.view_as_real(z), m.view_as_real(m.view_as_complex(x.reshape(2, 2)))

    same(call, floats(4))


def test_view_of_another_dtype():
    def call(m, x):
        return (
            x.view(m.int32),
            x.view(m.int64),
            x.float().view(m.float64).view(m.float32),
            x[0, 0, 0].view(m.int64),
        )

    same(call, CUBE, grad=False)


READINGS = {
    "no dimension": lambda m, x: x[0, 0].view(m.int64),
    "length": lambda m, x: x[:, :3].view(m.int64),
    "stride": lambda m, x: x[:, :2].view(m.int64),
    "stride of one row": lambda m, x: x[:1, :2].view(m.int64),
    "offset": lambda m, x: x[0, 1:3].view(m.int64),
    "last stride": lambda m, x: x.t().view(m.int16),
    "last stride of one column": lambda m, x: x.t()[:, :1].view(m.int16),
    "pairs": lambda m, x: m.view_as_complex(x[:, :2]),
    "offset of pairs": lambda m, x: m.view_as_complex(x[0, 1:3]),
    "outside": lambda m, x: x[1:].as_strided((2, 3), (5, 1), 8),
}


@pytest.mark.parametrize("case", READINGS)
def test_other_readings_of_memory_are_refused_as_in_torch(case):
    refused(READINGS[case], floats(3, 5).astype("float32"))


def test_pairs_of_one_row_are_complex():
    def call(m, x):
        return [m.view_as_real(m.view_as_complex(part)) for part in (x[:1, :2], x[::2, :2])]

    same(call, floats(4, 3))


REFUSED = {
    "view_size": lambda m, x: x.view(5),
    "view_minus": lambda m, x: x.view(-2),
    "view_two": lambda m, x: x.view(-1, -1),
    "reshape": lambda m, x: x.reshape(5, 5),
    "view_stride": lambda m, x: x.mT.view(24),
    "permute_duplicate": lambda m, x: x.permute(0, 1, 1),
    "permute_range": lambda m, x: x.permute(0, 1, 5),
    "expand": lambda m, x: x.expand(3, 3, 4),
    "expand_leading": lambda m, x: x.expand(-1, 2, 3, 4),
    "squeeze": lambda m, x: x.squeeze(5),
    "unsqueeze": lambda m, x: x.unsqueeze(5),
    "transpose": lambda m, x: x.transpose(0, 3),
    "flatten": lambda m, x: x.flatten(2, 0),
    "unflatten": lambda m, x: x.unflatten(2, (3, 3)),
    "narrow": lambda m, x: x.narrow(0, 1, 5),
    "narrow_start": lambda m, x: x.narrow(0, 5, 1),
    "select": lambda m, x: x.select(0, 5),
    "unfold": lambda m, x: x.unfold(0, 5, 1),
    "diagonal": lambda m, x: x.diagonal(0, 1, 1),
    "split": lambda m, x: x.split([1, 2]),
    "split_zero": lambda m, x: x.split(0),
    "chunk": lambda m, x: x.chunk(0),
    "hsplit": lambda m, x: x.hsplit(2),
    "t": lambda m, x: x.t(),
    "H": lambda m, x: x.H,
    "cat_sizes": lambda m, x: m.cat([x, x[:, :2]]),
    "cat_dims": lambda m, x: m.cat([x, x[0]]),
    "cat_none": lambda m, x: m.cat([]),
    "cat_number": lambda m, x: m.cat([x[0, 0, 0]]),
    "cat_dim": lambda m, x: m.cat([x], 5),
    "stack": lambda m, x: m.stack([x, x[0]]),
    "repeat": lambda m, x: x.repeat(2),
    "flip": lambda m, x: x.flip(0, 0),
    "roll": lambda m, x: x.roll(1, (0, 1)),
    "rot90": lambda m, x: x.rot90(1, (0, 0)),
    "tril": lambda m, x: x[0, 0].tril(),
    "diag": lambda m, x: m.diag(x),
    "broadcast": lambda m, x: m.broadcast_tensors(x, x[:, :2]),
    "pad_odd": lambda m, x: m.nn.functional.pad(x, (1,)),
    "pad_reflect": lambda m, x: m.nn.functional.pad(x, (4, 1), "reflect"),
    "pad_mode": lambda m, x: m.nn.functional.pad(x, (1, 1), "foo"),
    "imag": lambda m, x: x.imag,
    "kind": lambda m, x: m.view_as_complex(x),
}
PHRASES = {
    "permute_duplicate": "duplicate dims are not allowed",
    "narrow_start": "start out of range",
    "repeat": "Number of dimensions of repeat dims",
    "roll": "shifts and dimensions must align",
    "tril": "input tensor must have at least 2 dimensions",
    "pad_reflect": "Padding size should be less than the corresponding input dimension",
    "pad_mode": "Unrecognised padding mode foo",
    "pad_odd": "Padding length must be divisible by 2",
    "kind": "Tensor must have a last dimension of size 2",
    "view_stride": "Use .reshape(...) instead.",
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_as_in_torch(case):
    refused(REFUSED[case], CUBE, phrase=PHRASES.get(case))


VIEWS = {
    "view": lambda x: x.view(6, 4),
    "reshape": lambda x: x.reshape(-1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 1),
    "T": lambda x: x[0].T,
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "expand": lambda x: x.expand(2, 3, 4),
    "narrow": lambda x: x.narrow(2, 1, 2),
    "select": lambda x: x.select(0, 1),
    "diagonal": lambda x: x.diagonal(0, 0, 1),
    "unfold": lambda x: x.unfold(2, 2, 2),
    "as_strided": lambda x: x.as_strided((2, 2), (3, 1)),
    "split": lambda x: x.split(1)[1],
    "unbind": lambda x: x.unbind(1)[0],
    "number": lambda x: x[1, 2, 3],
    "slice": lambda x: x[:, 1:, ::2],
}


@pytest.mark.parametrize("case", VIEWS)
def test_views_share_memory(case):
    x = dt.zeros(2, 3, 4)
    view = VIEWS[case](x)
    view.fill_(1.0)
    assert float(x.sum()) == view.numel()
    x.fill_(3.0)
    assert float(view.sum()) == 3.0 * view.numel()


COPIES = {
    "flip": lambda x: x.flip(0),
    "repeat": lambda x: x.repeat(1, 1),
    "roll": lambda x: x.roll(1, 0),
    "cat": lambda x: dt.cat([x]),
    "stack": lambda x: dt.stack([x]),
    "tril": lambda x: x.tril(),
    "diag": lambda x: dt.diag(x),
    "index": lambda x: x[[0]],
    "mask": lambda x: x[x > 0],
    "rot90": lambda x: x.rot90(0),
}


@pytest.mark.parametrize("case", COPIES)
def test_copies_do_not(case):
    x = dt.ones(1, 1)
    made = COPIES[case](x)
    x.fill_(5.0)
    assert made.flatten().tolist() == [1.0]


def test_contiguous_is_the_same_object_where_nothing_is_to_do():
    x = dt.ones(2, 3)
    assert x.contiguous() is x
    assert x.T.contiguous().is_contiguous()


def test_broadcast_shapes():
    assert dt.broadcast_shapes((2, 1), (3,), 1) == (2, 3)
    with pytest.raises(RuntimeError, match="Attempting to broadcast"):
        dt.broadcast_shapes((2,), (3,))
