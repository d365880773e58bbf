"""Operators of one's own by name: `library`, and where they are called, `ops`."""

import pytest

import devtensor as dt
import samples
from devtensor import library


def scale_backward(ctx, g):
    return g * ctx.factor, None


def scale_context(ctx, inputs, output):
    ctx.factor = inputs[1]


def test_an_operator_has_a_name_and_a_derivative():
    @library.custom_op("mine::scale", mutates_args=())
    def scale(x: dt.Tensor, factor: float) -> dt.Tensor:
        return dt.tensor([v * factor for v in x.tolist()], dtype=x.dtype)

    scale.register_autograd(scale_backward, setup_context=scale_context)
    scale.register_fake(lambda x, factor: dt.empty_like(x))
    for form in (scale, dt.ops.mine.scale, dt.ops.mine.scale.default):
        x = dt.tensor([1.0, 2.0], requires_grad=True)
        y = form(x, 3.0)
        y.sum().backward()
        assert y.tolist() == [3.0, 6.0] and x.grad.tolist() == [3.0, 3.0]
    assert not scale(dt.ones(2), 2.0).requires_grad


def test_without_a_derivative_gradients_go_through_what_is_called():
    twice = library.custom_op("mine::twice", lambda x: x * 2, mutates_args=())
    x = dt.ones(2, requires_grad=True)
    twice(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_kernels_of_devices():
    made = library.Library("kinds", "DEF")
    assert made.define("which(Tensor x) -> Tensor") == "which"
    x = dt.ones(1)
    with pytest.raises(NotImplementedError, match=r"Could not run 'kinds::which'.*'cpu'"):
        dt.ops.kinds.which(x)
    made.impl("which", lambda x: x + 1, "CompositeExplicitAutograd")
    made.impl("which", lambda x: x + 5, "Meta")
    assert dt.ops.kinds.which(x).item() == 2
    library.impl("kinds::which", "cpu", lambda x: x + 2)
    assert dt.ops.kinds.which(x).item() == 3
    library.register_kernel("kinds::which", "cpu", lambda x: x + 3)
    assert dt.ops.kinds.which(x).item() == 4
    with pytest.raises(ValueError, match="Unsupported kind"):
        library.Library("kinds", "SHINE")
    with pytest.raises(ValueError, match="namespace::name"):
        library.define("which", "(Tensor x) -> Tensor")


def test_pytorchs_own_operations():
    x = dt.tensor([-1.0, 4.0])
    assert dt.ops.aten.relu(x).tolist() == [0.0, 4.0]
    assert dt.ops.aten.add.Tensor(x, x).tolist() == [-2.0, 8.0]
    with pytest.raises(AttributeError, match=r"'_OpNamespace' 'aten' object has no .*'shine'"):
        dt.ops.aten.shine  # noqa: B018
    with pytest.raises(OSError, match=r"Could not load this library: it\.so"):
        dt.ops.load_library("it.so")


def test_classes_that_are_containers():
    from devtensor.utils import _pytree as tree

    class Pair:
        def __init__(self, left, right):
            self.left, self.right = left, right

    tree.register_pytree_node(
        Pair, lambda pair: ([pair.left, pair.right], "pair"), lambda parts, _: Pair(*parts)
    )
    leaves, shape = tree.tree_flatten({"a": Pair(1, (2, 3))})
    assert leaves == [1, 2, 3]
    again = tree.tree_unflatten([4, 5, 6], shape)["a"]
    assert (again.left, again.right) == (4, (5, 6))
    whole = tree.tree_leaves([Pair(1, 2), 3], is_leaf=lambda part: isinstance(part, Pair))
    assert [type(leaf) for leaf in whole] == [Pair, int]
    with pytest.raises(ValueError, match="already registered"):
        tree.register_pytree_node(Pair, list, tuple)


def test_the_derivative_is_right():
    square = library.custom_op("mine::square", lambda x: x.detach() ** 2, mutates_args=())
    library.register_autograd(
        square,
        lambda ctx, g: 2 * ctx.saved_tensors[0] * g,
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
    x = dt.tensor([1.5, -2.0], dtype=dt.float64, requires_grad=True)
    (found,) = dt.autograd.grad(square(x).sum(), x, create_graph=True)
    (second,) = dt.autograd.grad(found.sum(), x)
    assert samples.numpy(found).tolist() == [3.0, -4.0] and second.tolist() == [2.0, 2.0]


def test_arguments_reach_the_derivative_by_place_and_with_their_defaults():
    import torch

    def run(module):
        seen = []

        def scaled(x, factor: float = 2.0, *, shift: float = 1.0):
            return x * factor + shift

        scaled.__annotations__.update({"x": module.Tensor, "return": module.Tensor})
        made = module.library.custom_op(f"mine::scaled_{module.__name__}", scaled, mutates_args=())

        def setup(ctx, inputs, keyword_only_inputs, output):
            seen.append((inputs[1:], dict(keyword_only_inputs)))
            ctx.factor = inputs[1]

        made.register_autograd(lambda ctx, g: (g * ctx.factor, None), setup_context=setup)
        x = module.ones(2, requires_grad=True)
        for out in (made(x), made(x, factor=3.0), made(x=x, factor=4.0, shift=5.0)):
            out.sum().backward()
        return seen, x.grad.tolist()

    assert run(dt) == run(torch)
