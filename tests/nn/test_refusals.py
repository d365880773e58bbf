"""What layers and their functions refuse, in PyTorch's words, and that nothing has changed then."""

import importlib
import re

import pytest

import devtensor as dt
from sides import SIDES


def calls(lib):
    """Calls that fail, each with its error and its words."""
    F, ones = lib.nn.functional, lib.ones
    image, grid = ones(1, 1, 2, 2), ones(2, 1, 1, 2)
    places = lib.full((1, 1, 2, 2), 100)
    x = ones(2, 1, 4)
    attention = lib.nn.MultiheadAttention(4, 2)
    return [
        (lambda: F.grid_sample(image, grid, align_corners=False), RuntimeError, "same batch size"),
        (
            lambda: F.affine_grid(ones(1, 2, 3), (1, 1, 0, 2), False),
            ValueError,
            "Expected non-zero, posi",
        ),
        (
            lambda: F.affine_grid(ones(1, 2, 3), (1, 1, 2), False),
            NotImplementedError,
            "only supports 4D",
        ),
        (lambda: F.max_unpool2d(image, places, 2), RuntimeError, "Found an invalid max index"),
        (lambda: attention(x, x, x, attn_mask=ones(3, 3)), RuntimeError, "of the 2D attn_mask is"),
        (lambda: attention(x, x, x, attn_mask=ones(1, 2, 2)), RuntimeError, "of the 3D attn_mask"),
        (lambda: lib.nn.Conv2d(3, 2, 3, groups=2), ValueError, "in_channels must be divisible by"),
        (lambda: lib.nn.Conv2d(2, 3, 3, groups=2), ValueError, "out_channels must be divisible by"),
        (lambda: lib.nn.Embedding(3, 2, padding_idx=5), AssertionError, "Padding_idx must be with"),
        (lambda: lib.nn.utils.skip_init(lib.nn.ReLU), RuntimeError, "support a 'device' arg to sk"),
    ]


@SIDES
@pytest.mark.parametrize("number", range(len(calls(dt))))
def test_words(lib, number):
    call, error, words = calls(lib)[number]
    with pytest.raises(error, match=re.escape(words)):
        call()


@SIDES
def test_initial_values_may_be_left_out(lib):
    layer = lib.nn.utils.skip_init(lib.nn.Linear, 2, 3, dtype=lib.float64)
    assert tuple(layer.weight.shape) == (3, 2) and layer.weight.device.type == "cpu"
    assert layer.bias.dtype is lib.float64 and layer.bias.requires_grad


@SIDES
def test_pruning_that_fails_changes_nothing(lib):
    prune = importlib.import_module(f"{lib.__name__}.nn.utils.prune")
    layer = lib.nn.Linear(2, 2)
    with pytest.raises(IndexError, match="Invalid index 5 for tensor of size"):
        prune.random_structured(layer, "weight", 0.5, 5)
    with pytest.raises(AssertionError, match="must match self"):
        prune.custom_from_mask(layer, "weight", lib.ones(3))
    assert set(layer.state_dict()) == {"weight", "bias"}
    if lib is dt:  # PyTorch takes the hook off before it fails
        prune.identity(layer, "weight")
        with pytest.raises(AssertionError, match="must match self"):
            prune.custom_from_mask(layer, "weight", lib.ones(3))
        assert prune.is_pruned(layer) and len(layer._forward_pre_hooks) == 1


@SIDES
def test_a_lazy_layer_whose_values_were_loaded_knows_its_sizes(lib):
    layer, other = lib.nn.LazyLinear(3), lib.nn.Linear(4, 3)
    layer.load_state_dict(other.state_dict())
    layer(lib.ones(2, 4))
    assert type(layer) is type(other) and repr(layer) == repr(other)


@SIDES
def test_lazy_layers_of_ones_own_are_made_ready_once(lib):
    class Counting(lib.nn.modules.lazy.LazyModuleMixin, lib.nn.Module):
        calls = 0

        def initialize_parameters(self, x):
            self.calls += 1

        def forward(self, x):
            return x

    layer = Counting()
    layer(lib.ones(1)), layer(lib.ones(1))
    assert layer.calls == 1
