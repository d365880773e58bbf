"""What layers written elsewhere take from inside PyTorch's files."""

from importlib import import_module

import pytest
import torch

import devtensor as dt
from samples import numpy as array
from sides import SIDES

BOTH = (dt, torch)


def both(name):
    """A module of ours, and of PyTorch."""
    return [import_module(f"{lib.__name__}.{name}") for lib in BOTH]


@SIDES
def test_masks_of_attention(lib):
    f = lib.nn.functional
    wanted = {"other_name": "other", "target_type": lib.float64}
    mask = lib.tensor([True, False])
    made = f._canonical_mask(mask=mask, mask_name="mask", other_type=None, **wanted)
    assert made.tolist() == [float("-inf"), 0] and made.dtype is lib.float64
    numbers = lib.ones(2)
    assert f._canonical_mask(numbers, "mask", None, "", lib.float64) is numbers
    assert f._canonical_mask(None, "mask", None, "", lib.float64) is None
    with pytest.warns(UserWarning, match="mismatched mask and other"):
        f._canonical_mask(mask, "mask", lib.float32, **wanted)
    f._canonical_mask(mask, "mask", lib.float32, **wanted, check_other=False)
    with pytest.raises(AssertionError, match="only bool and floating types of mask"):
        f._canonical_mask(lib.tensor([1]), "mask", None, **wanted)
    assert f._none_or_dtype(None) is None and f._none_or_dtype(mask) is lib.bool
    x = lib.ones(3, 2, 4)
    assert f._mha_shape_check(x, x, x, None, None, 2) is True
    assert f._mha_shape_check(x[0], x[0], x[0], None, None, 2) is False
    keys = lib.ones(5, 4)
    assert f._mha_shape_check(x[0], keys, keys, None, lib.ones(3, 2, 5), 3) is False
    assert f._mha_shape_check(x, x, x, None, lib.ones(1, 1, 1), 2) is True
    for blind in (lib.ones(5, 2, 5), lib.ones(1, 2, 5), lib.ones(3, 2, 2)):
        with pytest.raises(AssertionError, match=r"`attn_mask` shape to be \(3, 2, 5\) but got"):
            f._mha_shape_check(x[0], keys, keys, None, blind, 3)


@SIDES
def test_masks_of_different_types_warn(lib):
    layer, x = lib.nn.MultiheadAttention(4, 2), lib.ones(3, 1, 4)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        layer(x, x, x, lib.tensor([[False, False, True]]), attn_mask=lib.zeros(3, 3))


def test_projections_of_attention():
    ours, theirs = (lib.nn.functional for lib in BOTH)
    values = torch.arange(12.0).reshape(3, 4), torch.arange(48.0).reshape(12, 4) % 5
    q, w = (dt.tensor(v.tolist()) for v in values)
    for mine, other in (((q, q, q), [values[0]] * 3), ((q, q * 2, q), [values[0], values[0] * 2])):
        other = [*other, values[0]][:3]
        found = ours._in_projection_packed(*mine, w)
        for a, b in zip(found, theirs._in_projection_packed(*other, values[1]), strict=True):
            assert a.tolist() == b.tolist()


def test_words_for_reductions():
    ours, theirs = both("nn._reduction")
    assert dt.nn.functional._Reduction is ours
    for word in ("none", "mean", "sum"):
        assert ours.get_enum(word) == theirs.get_enum(word)
    for old in (None, True, False):
        for reduce in (None, True, False):
            words = [m.legacy_get_string(old, reduce, emit_warning=False) for m in (ours, theirs)]
            numbers = [m.legacy_get_enum(old, reduce, emit_warning=False) for m in (ours, theirs)]
            assert words[0] == words[1] and numbers[0] == numbers[1]
    for module in (ours, theirs):
        with pytest.warns(UserWarning, match="will be deprecated"):
            assert module.legacy_get_string(False, None) == "sum"
        with pytest.warns(UserWarning, match="elementwise_mean"):
            assert module.get_enum("elementwise_mean") == 1
        with pytest.raises(ValueError, match="is not a valid value for reduction"):
            module.get_enum("median")


@pytest.mark.parametrize("text", ["one", "a\nb", "a\n\nb\n  c"])
def test_indented_texts(text):
    ours, theirs = (m._addindent for m in both("nn.modules.module"))
    assert ours(text, 4) == theirs(text, 4)


def test_sizes_with_those_of_the_input():
    ours, theirs = (m._list_with_default for m in both("nn.modules.utils"))
    for size, defaults in ((3, [1, 2]), ([None, 5], [7, 8, 9]), ((None,), [7, 8])):
        assert ours(size, defaults) == theirs(size, defaults)
    for function in (ours, theirs):
        with pytest.raises(ValueError, match="at least 3"):
            function([1, 2], [3, 4])


@SIDES
def test_helpers_of_layers_are_there_without_an_import_of_their_own(lib):
    assert lib.nn.modules.utils._pair(2) == (2, 2)


@pytest.mark.parametrize("padding", [1, (1, 2), "same", "valid"])
def test_padding_as_pad_takes_it(padding):
    wide = {"kernel_size": (2, 3), "dilation": 2, "padding": padding}
    ours, theirs = (lib.nn.Conv2d(1, 1, **wide)._reversed_padding_repeated_twice for lib in BOTH)
    assert ours == theirs and type(ours) is type(theirs)


@SIDES
def test_initial_values_and_layouts(lib):
    init, x = lib.nn.init, lib.nn.Parameter(lib.zeros(50))
    assert 0 <= init._no_grad_uniform_(x, 0.0, 1.0).min() < x.max() <= 1
    assert init._no_grad_trunc_normal_(x, 0.0, 1.0, -0.5, 0.5).abs().max() <= 0.5
    assert init._no_grad_fill_(x, 3.0).sum() == 150 and init._no_grad_zero_(x).sum() == 0
    layer = lib.nn.Conv2d(1, 1, 1)
    convert = lib.nn.utils.convert_conv2d_weight_memory_format
    assert convert(layer, lib.channels_last) is layer
    total = import_module(f"{lib.__name__}.nn.utils.clip_grad")._get_total_norm
    assert array(total([lib.tensor([3.0]), lib.tensor([4.0])])) == 5


@SIDES
def test_copies_of_layers(lib):
    transformer = import_module(f"{lib.__name__}.nn.modules.transformer")
    copies = transformer._get_clones(lib.nn.Linear(1, 1), 2)
    assert isinstance(copies, lib.nn.ModuleList) and copies[0] is not copies[1]
    mask = transformer._generate_square_subsequent_mask(2)
    assert mask.tolist() == [[0, float("-inf")], [0, 0]]


@SIDES
def test_functions_that_stay_in_graphs(lib):
    fx = import_module(f"{lib.__name__}.fx")

    def tell(x):
        return x

    graph = fx.Graph()
    x = graph.placeholder("x")
    call = graph.call_function(tell, (x,))
    graph.output(x)
    assert not call.is_impure()
    assert fx.node.has_side_effect(tell) is tell
    assert call.is_impure() and not graph.eliminate_dead_code()
