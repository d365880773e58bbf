"""The fast forms against `devtensor.launch.launch`, which says what a launch is."""

import contextlib
import warnings

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.autograd.mode import INFERENCE
from devtensor.autograd.node import Call, Part
from devtensor.autograd.view import View
from devtensor.autograd.write import write
from devtensor.launch import launch
from devtensor.op import catalogue, in_place
from devtensor.tensor import Constant
from samples import cases, law

OPS = cases(lambda entry: entry.op is not None and entry.op.inputs and not entry.op.writes)
UNSET = ("unset", "unset_strided")


def untracked(case):
    return case.tensors()


def tracked(case):
    return case.tensors(grad=True)


def computed(case):
    """Tensors that have a history."""
    return [x.clone() if x.requires_grad else x for x in case.tensors(grad=True)]


def views(case):
    """Views of tracked tensors that were written since."""
    made = []
    for x in case.tensors(grad=True):
        if x.requires_grad and x.ndim:
            base = x.clone()
            view = base[...]
            base.mul_(1)
            made.append(view)
        else:
            made.append(x)
    return made


def single(case):
    return [x.float() if x.dtype == dt.float64 else x for x in case.tensors(grad=True)]


def half(case):
    return [x.to(dt.bfloat16) if x.dtype == dt.float64 else x for x in case.tensors()]


def mixed(case):
    """The first of another type than the others."""
    xs = case.tensors()
    return [x.float() if not i and x.dtype == dt.float64 else x for i, x in enumerate(xs)]


def whole(case):
    return [(x * 3).long() if x.dtype == dt.float64 else x for x in case.tensors()]


def complex_(case):
    xs = case.tensors(grad=True)
    if any(x.dtype == dt.float64 and not x.ndim for x in xs):
        return xs
    turned = [x.detach() + x.detach().flip(tuple(range(x.ndim))) * 0.5j for x in xs]
    return [
        z.requires_grad_() if x.dtype == dt.float64 else x for x, z in zip(xs, turned, strict=True)
    ]


def inference(case):
    with dt.inference_mode():
        return case.tensors()


def one_of_inference(case):
    """Tracked tensors, the last made in inference mode."""
    xs = case.tensors(grad=True)
    with dt.inference_mode():
        return [*xs[:-1], *[x.detach().clone() for x in xs[-1:]]]


packed = []


def hooks():
    packed.clear()
    return saved_tensors_hooks(lambda x: packed.append(x.tolist()) or x, lambda x: x)


MODES = {
    "plain": (untracked, contextlib.nullcontext),
    "recorded": (tracked, contextlib.nullcontext),
    "computed": (computed, contextlib.nullcontext),
    "views": (views, contextlib.nullcontext),
    "single": (single, contextlib.nullcontext),
    "bfloat16": (half, contextlib.nullcontext),
    "mixed": (mixed, contextlib.nullcontext),
    "integers": (whole, contextlib.nullcontext),
    "complex": (complex_, contextlib.nullcontext),
    "no_grad": (tracked, dt.no_grad),
    "inference_mode": (tracked, dt.inference_mode),
    "inference": (inference, contextlib.nullcontext),
    "inference, no_grad": (inference, dt.no_grad),
    "one of inference": (one_of_inference, contextlib.nullcontext),
    "hooks": (tracked, hooks),
}


def slowly(op):
    """The function of an operation without its fast form."""

    def call(*args, **kwargs):
        inputs, params = op.bind(args, kwargs)
        if op.star is not None:
            inputs[op.star :] = inputs[op.star]
        return launch(op, inputs, params)

    return call


def outcome(case, mode, function):
    """What a call gave, or the error that it raised; and what hooks were shown."""
    make, block = MODES[mode]
    xs = make(case)
    dt.manual_seed(0)
    with block():
        try:
            result = case.call(xs, function)
        except Exception as error:
            return xs, error, list(packed)
    return xs, result, list(packed)


def value(x):
    return x.detach().tolist()


def same(one, two):
    """Whether values are equal, NaN and NaN too."""
    return np.array_equal(np.asarray(one, object), np.asarray(two, object)) or np.array_equal(
        np.asarray(one), np.asarray(two), equal_nan=True
    )


def compare(ours, theirs, our_inputs, their_inputs):
    """Hold a tensor of the fast form against that of `launch`."""
    if theirs is None:
        assert ours is None
        return
    assert type(ours) is type(theirs)
    assert ours.dtype is theirs.dtype
    assert ours.shape == theirs.shape
    assert ours.device is theirs.device
    assert same(value(ours), value(theirs))
    assert ours.requires_grad == theirs.requires_grad
    assert ours.is_inference() == theirs.is_inference()
    assert (ours._node is INFERENCE) == (theirs._node is INFERENCE)
    assert type(ours._alias) is type(theirs._alias)
    if isinstance(theirs._alias, View):
        assert where(ours._base, our_inputs) == where(theirs._base, their_inputs)
        for name in set(View.__slots__) - {"first", "memory", "owner", "seen"}:
            assert getattr(ours._alias, name) == getattr(theirs._alias, name)
    compare_nodes(ours._node, theirs._node, our_inputs, their_inputs)


def where(x, inputs):
    return [i for i, y in enumerate(inputs) if y is x]


def compare_nodes(ours, theirs, our_inputs, their_inputs):
    assert type(ours) is type(theirs)
    if isinstance(theirs, Part):
        assert ours.index == theirs.index
        assert ours.shape == theirs.shape
        ours, theirs = ours.node, theirs.node
    if not isinstance(theirs, Call):
        return
    assert ours.name() == theirs.name()
    assert ours.plan is theirs.plan
    assert ours.shape == theirs.shape
    assert ours.device is theirs.device
    if theirs.plan.uses_params:
        assert ours.params == theirs.params
    assert len(ours.links) == len(theirs.links)
    first = theirs.plan.edges
    for one, two in zip(ours.links[:first], theirs.links[:first], strict=True):
        assert type(one) is type(two)
    for one, two in zip(ours.links[first:], theirs.links[first:], strict=True):
        compare_saved(one, two, our_inputs, their_inputs)


def compare_saved(ours, theirs, our_inputs, their_inputs):
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for one, two in zip(ours, theirs, strict=True):
            compare_saved(one, two, our_inputs, their_inputs)
        return
    assert type(ours) is type(theirs)
    if isinstance(theirs, Constant):
        assert ours.dtype is theirs.dtype
        assert value(ours) == value(theirs)
    elif isinstance(theirs, dt.Tensor):
        assert where(ours, our_inputs) == where(theirs, their_inputs)
        assert same(value(ours), value(theirs))
    elif hasattr(theirs, "dtype"):
        assert same(ours.tolist(), theirs.tolist())
    elif hasattr(theirs, "content"):
        assert same(value(ours.content), value(theirs.content))
    else:
        assert ours == theirs


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@law([case for case in OPS if case.name not in UNSET])
def test_fast_is_the_same_as_slow(case):
    for mode in MODES:
        try:
            compare_forms(case, mode)
        except Exception as error:
            error.add_note(f"in the mode {mode!r}")
            raise


def compare_forms(case, mode):
    op = case.op
    our_inputs, ours, our_packed = outcome(case, mode, op.function)
    their_inputs, theirs, their_packed = outcome(case, mode, slowly(op))
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        assert str(ours) == str(theirs)
        return
    assert type(ours) is type(theirs)
    assert repr(our_packed) == repr(their_packed)
    several = op.outputs is not None
    for one, two in zip(ours if several else [ours], theirs if several else [theirs], strict=True):
        compare(one, two, our_inputs, their_inputs)


OPERATORS = [case for case in OPS if case.op.operator is not None]


@law(OPERATORS)
def test_operators_are_their_operations(case):
    op = case.op
    method = getattr(dt.Tensor, f"__{op.operator}__")
    xs = case.tensors(grad=True)
    args, kwargs = bound(case, xs)
    if kwargs or not isinstance(args[0], dt.Tensor):
        return
    compare(method(*args), slowly(op)(*args), xs, xs)
    if len(args) == 2 and isinstance(args[1], dt.Tensor):
        reflected = getattr(dt.Tensor, f"__r{op.operator}__", None)
        if reflected is not None:
            compare(reflected(args[1], args[0]), slowly(op)(*args), xs, xs)
    if len(args) == 2:
        assert method(args[0], "text") is NotImplemented
        assert method(args[0], None) is NotImplemented


NUMBERS = [True, 2, -1, 300, 2**40, 1.5, float("nan"), float("inf"), 0.0, -0.0, 1 + 2j]


@pytest.mark.parametrize(
    "name", ["plus", "mul", "true_divide", "pow", "lt", "maximum", "remainder"]
)
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int64", "float32", "bfloat16", "complex64"]
)
def test_python_numbers(name, dtype):
    op = catalogue[name].op
    x = dt.tensor([0, 1], dtype=getattr(dt, dtype))
    for number in NUMBERS:
        for args in ((x, number), (number, x)):
            results = []
            for function in (op.function, slowly(op), op.function):  # the third finds a number kept
                try:
                    results.append(function(*args))
                except Exception as error:
                    results.append(error)
            first, second, third = results
            for one in (first, third):
                assert type(one) is type(second), (number, one, second)
                if isinstance(second, Exception):
                    assert str(one) == str(second)
                else:
                    assert one.dtype is second.dtype
                    assert repr(one.tolist()) == repr(second.tolist()), (number, args)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "bfloat16", "complex64"])
def test_python_numbers_beside_two_operands(dtype):
    x, mask = dt.tensor([0, 1], dtype=getattr(dt, dtype)), dt.tensor([True, False])
    for number in NUMBERS:
        calls = {
            "clamp": [(x, number), (x, None, number), (x, 0, number), (x, number, x)],
            "choose": [
                (mask, x, number),
                (mask, number, x),
                (mask, number, 1),
                (mask, number, 2.5),
            ],
            "masked_fill": [(x, mask, number)],
        }
        for name, listed in calls.items():
            op = catalogue[name].op
            for args in listed:
                results = []
                for function in (op.function, slowly(op)):
                    try:
                        results.append(function(*args))
                    except Exception as error:
                        results.append(error)
                one, two = results
                assert type(one) is type(two), (name, args, one, two)
                if isinstance(two, Exception):
                    assert str(one) == str(two)
                else:
                    assert one.dtype is two.dtype
                    assert repr(one.tolist()) == repr(two.tolist()), (name, args)


def repr_of(node):
    return None if node is None else node.name()


WRITTEN = [case for case in OPS if case.op.inplace and case.op.outputs is None]


@law(WRITTEN)
def test_writing_is_the_same_as_slow(case):
    op = case.op

    def slow(*args, **kwargs):
        inputs, params = op.bind(args, kwargs)
        if op.star is not None:
            inputs[op.star :] = inputs[op.star]
        return write(op, inputs, params)

    for mode in MODES:
        found = []
        for function in (in_place(op.function), slow):
            xs, result, shown = outcome(case, mode, function)
            found.append((xs, result, shown))
        (ours, one, our_packed), (theirs, two, their_packed) = found
        told = f"in the mode {mode!r}"
        assert type(one) is type(two), (one, two, told)
        assert repr(our_packed) == repr(their_packed), told
        if isinstance(two, Exception):
            assert str(one) == str(two), told
        else:
            assert (one is ours[0]) == (two is theirs[0]), told
            if mode == "views":  # what is new is the base's history
                bases = [x._base if isinstance(x, dt.Tensor) else None for x in (one, two)]
                assert repr_of(one.grad_fn) == repr_of(two.grad_fn), told
                compare_nodes(*[b if b is None else b._node for b in bases], ours, theirs)
            else:
                compare_nodes(one._node, two._node, ours, theirs)
        for x, y in zip(ours, theirs, strict=True):
            assert same(value(x), value(y)), told
            if not x.is_inference():
                assert x._version == y._version, told


CALLS = [
    ("missing", lambda add: add(dt.ones(2))),
    ("twice", lambda add: add(dt.ones(2), dt.ones(2), other=1)),
    ("unknown", lambda add: add(dt.ones(2), 1, what=3)),
    ("many", lambda add: add(dt.ones(2), 1, 2, 3, 4)),
    ("no tensor", lambda add: add("x", dt.ones(2))),
    ("none", lambda add: add(dt.ones(2), None)),
    ("alias", lambda add: add(x=dt.ones(2), other=2)),
    ("named", lambda add: add(other=dt.ones(2), input=dt.ones(2, dtype=dt.float64))),
    ("numbers", lambda add: add(1, 2)),
]


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=[name for name, _ in CALLS])
@pytest.mark.parametrize("name", ["add", "mul", "true_divide"])
def test_calls_in_other_forms(call, name):
    op = catalogue[name].op
    results = []
    for function in (op.function, slowly(op)):
        try:
            results.append(repr(call(function)))
        except Exception as error:
            text = str(error) if "positional arguments but" not in str(error) else ""
            results.append((type(error), text))
    assert results[0] == results[1]


def test_factories_resolve_the_device_that_they_are_given():
    for make in (dt.zeros, dt.rand, dt.arange):
        assert make(2, device=dt.device("cpu:0")).device is dt.ones(2).device
        assert make(2, device="cpu:0").device is dt.ones(2).device


def test_an_argument_given_twice_is_refused():
    x = dt.ones(3)
    for call in (
        lambda: x.split_with_sizes([1, 2], split_sizes=[3]),
        lambda: dt.cat([x, x], 0, dim=0),
        lambda: x.unbind(0, dim=0),
    ):
        with pytest.raises(TypeError, match="multiple values"):
            call()


@law([case for case in OPS if case.op.params and case.op.star is None])
def test_parameters_by_place_and_by_name(case):
    op = case.op
    if op.outputs is not None or case.name in UNSET:
        return
    xs = case.tensors()
    inputs, params = op.bind(*bound(case, xs))
    by_name = op.function(*inputs, **params)
    compare(by_name, launch(op, list(inputs), dict(params)), xs, xs)
    if list(params) == op.positional and op.varargs is None:
        compare(op.function(*inputs, *params.values()), by_name, xs, xs)


def bound(case, xs):
    rest = iter(xs)
    return case.filled(lambda sample: next(rest))


def test_quick_writes_refuse_the_types_that_the_function_refuses():
    for m in (dt, torch):
        for name, values in (("abs_", [True]), ("neg_", [True]), ("bitwise_not_", [1.5])):
            with pytest.raises((NotImplementedError, RuntimeError)):
                getattr(m.tensor(values), name)()
