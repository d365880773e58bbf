"""Subscripts, gather and scatter, masks and searching against PyTorch, with random keys and gradients."""

import random
import warnings

import numpy as np
import pytest
from beside_torch import floats, ints, refused, same

import devtensor as dt

torch = pytest.importorskip("torch")
CUBE = floats(2, 3, 4)


def as_key(module, recipe):
    """A key from a description in plain Python and NumPy; arrays marked "t" become tensors."""
    if (
        isinstance(recipe, tuple)
        and len(recipe) == 2
        and isinstance(recipe[0], str)
        and recipe[0] == "t"
    ):
        return module.tensor(
            recipe[1].tolist(), dtype=getattr(module, str(recipe[1].dtype))
        ).reshape(recipe[1].shape)
    if isinstance(recipe, tuple):
        return tuple(as_key(module, part) for part in recipe)
    return recipe


KEYS = [
    0, -1, True, False, None, ..., (), slice(None), slice(1, None), slice(None, None, 2), slice(5, 9), slice(-1, None),
    (0, 1), (0, 1, 2), (..., 0), (0, ...), (None, ..., None), (slice(None), 1, slice(1, 3)), (..., slice(None, -1), 2),
    [0, 1], [1, 0, 1], [], [True, False], range(2), np.int64(1), np.array([1, 0]), np.array([True, False]), np.array(1),
    ("t", np.array(1)), ("t", np.array([[0, 1], [1, 1]])), ("t", np.array([-1, 0])), ("t", np.array(True)), ("t", np.array(False)),
    (slice(None), [0, 2]), (slice(None), slice(None), [0, -1]), (0, slice(None), [1, 2]), ([0, 1], slice(None), [1, 2]),
    ([0, 1], [1, 2]), ([0, 1], [1, 2], [0, 3]), ([[0], [1]], [1, 2]), (..., [1, 2], 0), (0, [1, 2]), ([0, 1], None, [1, 2]),
    ([1], True), (None, [0, 1], True), (slice(None), True, slice(1, None)), (False, 0), (True, [0, 1]),
    ("t", np.ones((2, 3), bool)), (("t", np.array([[True, False, True], [False, True, True]])), [0, 1, 2, 3]),
    (("t", np.array([[True, False, True], [False, True, True]])), slice(1, 3)),
    (slice(None), ("t", np.array([True, False, True]))), (0, ("t", np.array([True, False, True])), slice(None, None, 2)),
    (slice(None), ("t", np.array([[True, False, True, False]] * 3))), ("t", np.zeros((2, 3, 4), bool)),
    ("t", np.zeros((0, 3), dtype=np.int64)), ([], []), (("t", np.array(1)), slice(None), ("t", np.array([0, 3], dtype=np.int32))),
    (slice(1, 2), ..., [0, 2]), (slice(0, 2, 2), [2, 0], slice(1, None)), (None, 1, ..., None, [3, 3]),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_getitem(number):
    same(lambda m, x: x[as_key(m, KEYS[number])], CUBE)


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_setitem(number):
    def number_in(m, x):
        y = x * 1
        y[as_key(m, KEYS[number])] = 7.5
        return y

    def tensor_in(m, x, v):
        y = x * 1
        y[as_key(m, KEYS[number])] = v
        return y

    same(number_in, CUBE)
    key = as_key(torch, KEYS[number])
    shape = torch.tensor(CUBE)[key].shape
    places = torch.arange(CUBE.size).reshape(CUBE.shape)[key].flatten().tolist()
    if len(set(places)) == len(places):  # else which value stays is left open
        same(tensor_in, CUBE, floats(*shape, seed=3))
        same(tensor_in, CUBE, floats(1, seed=3))


def random_key(dice, shape):
    """A key for `shape`, anything that the grammar allows."""
    parts, dim, dots, length = [], 0, False, dice.choice([1, 2, 3])
    while dim < len(shape):
        kind = dice.choice(
            [
                "int",
                "slice",
                "slice",
                "none",
                "dots",
                "list",
                "tensor",
                "mask",
                "zero",
                "end",
                "bool",
                "range",
            ]
        )
        size = shape[dim]
        if kind == "int" and size:
            parts.append(dice.choice([dice.randrange(-size, size), np.int64(dice.randrange(size))]))
            dim += 1
        elif kind == "slice":
            bounds = [dice.choice([None, dice.randrange(-size - 1, size + 2)]) for _ in range(2)]
            parts.append(slice(*bounds, dice.choice([None, 1, 2, 3])))
            dim += 1
        elif kind == "none":
            parts.append(None)
        elif kind == "bool" and dice.random() < 0.3:
            parts.append(dice.choice([True, False]))
            length = 1
        elif kind == "dots" and not dots:
            parts.append(...)
            dots = True
            dim += dice.randrange(len(shape) - dim + 1)
        elif kind in ("list", "tensor", "range") and size:
            if kind == "range":
                parts.append(range(min(length, size)) if length <= size else [0] * length)
            else:
                form = (
                    dice.choice([(length,), (1,), (2, length), ()])
                    if kind == "tensor"
                    else (length,)
                )
                array = np.array(
                    [dice.randrange(-size, size) for _ in range(int(np.prod(form)))], dtype=np.int64
                )
                parts.append(array.tolist() if kind == "list" else ("t", array.reshape(form)))
            dim += 1
        elif kind == "mask":
            covered = dice.randrange(1, len(shape) - dim + 1)
            mask = (
                np.random.default_rng(dice.randrange(10**6)).random(shape[dim : dim + covered])
                < 0.4
            )
            if covered == 1 or not dots:
                parts.append(("t", mask))
                dim += covered
        elif kind == "zero" and size:
            parts.append(("t", np.array(dice.randrange(-size, size))))
            dim += 1
        elif kind == "end":
            break
    return parts[0] if len(parts) == 1 and dice.random() < 0.5 else tuple(parts)


def test_random_keys_read_and_write_as_in_torch():
    dice = random.Random(11)
    done = refusals = 0
    while done < 600:
        shape = tuple(dice.choice([1, 2, 3, 4]) for _ in range(dice.randrange(1, 5)))
        key = random_key(dice, shape)
        array = floats(*shape, seed=done)
        given = torch.tensor(array)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                picked = given[as_key(torch, key)]
            except (IndexError, RuntimeError) as error:
                with pytest.raises(type(error)):
                    dt.tensor(array.tolist(), dtype=dt.float64)[as_key(dt, key)]
                refusals += 1
                done += 1
                continue
            same(lambda m, x, key=key: x[as_key(m, key)], array)
            places = (
                torch.arange(given.numel()).reshape(shape)[as_key(torch, key)].flatten().tolist()
            )

            def number(m, x, key=key):
                y = x * 1
                y[as_key(m, key)] = 2.5
                return y

            same(number, array)
            if len(set(places)) == len(places):

                def write(m, x, v, key=key):
                    y = x * 1
                    y[as_key(m, key)] = v
                    return y * 2

                same(write, array, floats(*picked.shape, seed=5))
                if picked.ndim:
                    same(write, array, floats(*picked.shape[1:], seed=5))
        done += 1
    assert refusals < done / 2


def test_writing_numbers_and_types():
    def call(m, x):
        y = x.clone()
        y[0] = 3
        y[1, 0] = True
        y[..., 1] = m.tensor(2)
        y[x > 2] = m.tensor(5)
        y[:, [0]] = m.tensor([1.0], dtype=m.float64)
        return y

    same(call, CUBE, grad=False)
    same(lambda m, x: call(m, x.long().double()), CUBE, grad=False)


REFUSED = {
    "bound": (lambda m, x: x[5], None),
    "bound_inside": (lambda m, x: x[0, 0, -5], None),
    "many": (lambda m, x: x[0, 0, 0, 0], "too many indices for tensor of dimension 3"),
    "float": (lambda m, x: x[1.0], None),
    "float_tensor": (lambda m, x: x[m.tensor([1.0])], "tensors used as indices must be long, int, byte or bool tensors"),
    "list_bound": (lambda m, x: x[[5]], None),
    "list_negative": (lambda m, x: x[:, [-4]], "index -4 is out of bounds for dimension"),
    "mask": (lambda m, x: x[m.ones(3, dtype=m.bool)], None),
    "mask_later": (lambda m, x: x[0, m.ones(4, dtype=m.bool)], "The shape of the mask [4] at index 0 does not match"),
    "step": (lambda m, x: x[::-1], "step must be greater than zero"),
    "step_zero": (lambda m, x: x[::0], "slice step cannot be zero"),
    "broadcast": (lambda m, x: x[[0, 1], [0, 1, 2]], None),
    "number": (lambda m, x: m.tensor(1.0)[0], None),
    "slice": (lambda m, x: x["a":], "slice indices must be integers"),
    "gather_bound": (lambda m, x: x.gather(0, m.tensor([[[5]]])), None),
    "gather_negative": (lambda m, x: x.gather(0, m.tensor([[[-1]]])), None),
    "gather_dims": (lambda m, x: x.gather(0, m.tensor([1])), "Index tensor must have the same number of dimensions as input"),
    "gather_size": (lambda m, x: x.gather(0, m.zeros(1, 5, 1, dtype=m.int64)), None),
    "gather_dtype": (lambda m, x: x.gather(0, x), "gather(): Expected dtype int32/int64 for index"),
    "scatter_dtype": (lambda m, x: x.scatter(0, m.tensor([[[0]]]), x.float()), "scatter(): Expected self.dtype to be equal to src.dtype"),
    "scatter_size": (lambda m, x: x.scatter(0, m.zeros(3, 3, 4, dtype=m.int64), x), None),
    "scatter_reduce": (lambda m, x: x.scatter(0, m.tensor([[[0]]]), 1.0, reduce="foo"), "reduce argument must be either add or multiply"),
    "scatter_reduce_name": (lambda m, x: x.scatter_reduce(0, m.tensor([[[0]]]), x, "foo"), None),
    "index_select": (lambda m, x: x.index_select(0, m.tensor([-1])), "index out of range in self"),
    "index_select_dims": (lambda m, x: x.index_select(0, m.tensor([[1]])), "index_select(): Index is supposed to be a vector"),
    "index_add": (lambda m, x: x.index_add(0, m.tensor([0]), x), "Number of indices (1) should be equal to source.size(dim)"),
    "index_add_bound": (lambda m, x: x.index_add(0, m.tensor([0, 2]), x), None),
    "index_copy": (lambda m, x: x.index_copy(0, m.tensor([0, 7]), x), "index 7 is out of bounds for dimension 0 with size 2"),
    "index_fill": (lambda m, x: x.index_fill(0, m.tensor([5]), 1.0), None),
    "index_put_dtype": (lambda m, x: x.index_put((m.tensor([0]),), m.tensor(1)), "source and destination dtypes match, got Double for the destination and Long"),
    "masked_fill": (lambda m, x: x.masked_fill(m.tensor([1, 0, 1, 0]), 1.0), "masked_fill_ only supports boolean masks"),
    "masked_fill_value": (lambda m, x: x.masked_fill(x > 0, m.tensor([1.0, 2.0])), "only supports a 0-dimensional value tensor"),
    "masked_select": (lambda m, x: x.masked_select(x), "masked_select: expected BoolTensor for mask"),
    "masked_scatter": (lambda m, x: x.masked_scatter(x < 9, x[0]), "Number of elements of source < number of ones in mask"),
    "take": (lambda m, x: x.take(m.tensor([50])), None),
    "put": (lambda m, x: x.put(m.tensor([0, 50]), x[0, 0, :2]), None),
    "searchsorted": (lambda m, x: m.searchsorted(x, x[:1]), None),
    "one_hot": (lambda m, x: m.nn.functional.one_hot(m.tensor([3]), 2), "Class values must be smaller than num_classes."),
    "one_hot_negative": (lambda m, x: m.nn.functional.one_hot(m.tensor([-1])), None),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_as_in_torch(case):
    call, phrase = REFUSED[case]
    refused(call, CUBE, phrase=phrase)


def write(key, value):
    def call(m, x):
        x[as_key(m, key)] = value(m, x) if callable(value) else value

    return call


WRITES_REFUSED = [
    (
        write(0, lambda m, x: m.ones(5, dtype=m.float64)),
        "The expanded size of the tensor (4) must match the existing size (5)",
    ),
    (write([0, 1], lambda m, x: m.ones(5, dtype=m.float64)), None),
    (
        write([0], lambda m, x: m.ones(4)),
        "Index put requires the source and destination dtypes match",
    ),
    (lambda m, x: x.__setitem__(x > 0, m.ones(3, dtype=m.float64)), None),
    (write(0, "a"), "can't assign a str to a torch.DoubleTensor"),
    (write(0, [1.0, 2.0, 3.0, 4.0]), "can't assign a list to a torch.DoubleTensor"),
    (write(5, 1.0), None),
    (write([5], 1.0), None),
]


@pytest.mark.parametrize("number", range(len(WRITES_REFUSED)))
def test_writing_refused_as_in_torch(number):
    call, phrase = WRITES_REFUSED[number]
    refused(call, CUBE, phrase=phrase)


def test_lists_of_more_than_numbers_stand_for_tuples():
    x = dt.tensor(CUBE.tolist())
    with pytest.warns(UserWarning, match="non-tuple sequence"):
        assert x[[0, slice(None)]].shape == (3, 4)
    with pytest.warns(UserWarning, match="non-tuple sequence"):
        assert x[[[0, 1], [1, 2]]].shape == (2, 4)


# ---- gather and scatter

INDEX = ints(2, 2, 3, high=2)
WIDE = ints(2, 3, 6, high=4)


def both(name, *rest, **keywords):
    """A call of the out-of-place and of the in-place form."""

    def call(m, x, *tensors):
        arguments = [tensors[part] if isinstance(part, Slot) else part for part in rest]
        y = x * 1
        changed = getattr(y, name + "_")(*arguments, **keywords)
        assert changed is y
        return getattr(x, name)(*arguments, **keywords), y * 2

    return call


class Slot(int):
    """The place of a tensor among the arguments."""


FIRST, SECOND = Slot(0), Slot(1)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_gather(dim):
    high = CUBE.shape[dim]
    shape = [2, 2, 3]
    shape[dim] = 5
    same(
        lambda m, x, i: (x.gather(dim, i), m.gather(x, dim, i.int())), CUBE, ints(*shape, high=high)
    )
    same(
        lambda m, x, i: m.take_along_dim(x, i, dim),
        CUBE,
        ints(*[1 if d != dim % 3 else 2 for d in range(3)], high=high),
    )


def test_gather_without_dimensions():
    same(
        lambda m, x: (x[0, 0, 0].gather(0, m.tensor([0, 0])), x[0, 0].gather(0, m.tensor(1))), CUBE
    )
    same(lambda m, x, i: (m.take_along_dim(x, i), x.take(i)), CUBE, ints(2, 5, high=24))


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter:UserWarning")
@pytest.mark.parametrize(
    "src", [floats(2, 2, 3, seed=1), floats(3, 3, 4, seed=1)], ids=["equal", "larger"]
)
def test_scatter(src):
    grad = src.shape == INDEX.shape  # PyTorch has no gradient for a larger source
    once = np.array([[[0, 2, 1], [1, 0, 2]], [[2, 1, 3], [3, 2, 0]]])
    same(both("scatter", 2, FIRST, SECOND), CUBE, once, src, grad=grad)
    same(both("scatter", -1, FIRST, 2.5), CUBE, once)
    same(both("scatter", 1, FIRST, value=1), CUBE, INDEX)
    for dim in range(3):
        same(both("scatter_add", dim, FIRST, SECOND), CUBE, INDEX, src, grad=grad)
    same(both("scatter", 2, FIRST, SECOND, reduce="add"), CUBE, INDEX, src, grad=False)
    same(both("scatter", 2, FIRST, SECOND, reduce="multiply"), CUBE, INDEX, src, grad=False)
    same(both("scatter", 0, FIRST, 3.0, reduce="multiply"), CUBE, INDEX, grad=False)


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce(reduce, include_self):
    for dim, index in ((2, WIDE), (0, INDEX), (1, INDEX)):
        same(
            both("scatter_reduce", dim, FIRST, SECOND, reduce, include_self=include_self),
            CUBE, index, floats(*index.shape, seed=4),
        )  # fmt: skip
    zeros = floats(2, 3, 6, seed=4)
    zeros[0, 0, :2] = zeros[1, :, 3] = 0
    if reduce == "prod":
        same(
            lambda m, x, i, s: x.scatter_reduce(2, i, s, "prod", include_self=include_self),
            CUBE,
            WIDE,
            zeros,
        )
    same(
        lambda m, x, i, s: x.scatter_reduce(2, i, s, reduce, include_self=include_self),
        ints(2, 3, 4, high=9), WIDE, ints(2, 3, 6, low=1, high=5, seed=2),
    )  # fmt: skip


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_one_list_of_parts(dim):
    size = CUBE.shape[dim]
    shape = list(CUBE.shape)
    shape[dim] = 5
    index, source = ints(5, high=size), floats(*shape, seed=2)
    once = np.random.default_rng(0).permutation(size)[: size - 1]
    part = source.take(range(size - 1), axis=dim)
    same(
        lambda m, x, i: (
            x.index_select(dim, i),
            m.index_select(x, dim, i.int()),
            x.index_select(dim, i[0]),
        ),
        CUBE,
        index,
    )
    same(both("index_add", dim, FIRST, SECOND), CUBE, index, source)
    same(both("index_add", dim, FIRST, SECOND, alpha=-2.0), CUBE, index, source)
    same(both("index_copy", dim, FIRST, SECOND), CUBE, once, part)
    same(both("index_fill", dim, FIRST, 3.0), CUBE, once)
    same(lambda m, x, i, v: x.index_fill(dim, i, v), CUBE, once, floats())


def test_index_put_and_put():
    places, values = (np.array([0, 1, 1]), np.array([2, 0, 0])), floats(3, 4, seed=1)

    def put(m, x, i, j, v):
        y = x * 1
        assert y.index_put_((i, j), v, accumulate=True) is y
        return (
            y,
            x.index_put([i, j], v, True),
            m.index_put(x, (i[:1],), v[0]),
            x.index_put((x > 0,), v[0, 0]),
        )

    same(put, CUBE, *places, values)
    same(
        lambda m, x, i, v: (x.put(i, v), x.put(i, v, accumulate=True), (x * 1).put_(i, v)),
        CUBE,
        np.array([5, -1, 0]),
        floats(3),
    )


def test_second_derivative_through_index():
    def call(m, x):
        y = (x[[0, 1, 1], :, [2, 0, 0]] ** 3).sum() + (
            x.gather(2, m.zeros(2, 3, 2, dtype=m.int64)) ** 2
        ).sum()
        (slope,) = m.autograd.grad(y, x, create_graph=True)
        (second,) = m.autograd.grad((slope**2).sum(), x)
        return slope.detach(), second

    with_leaf = lambda m, x: call(m, x.detach().requires_grad_())  # noqa: E731
    same(with_leaf, CUBE, grad=False)


# ---- masks and searching


def test_masks():
    mask, row = CUBE > 0.2, np.array([True, False, True, True])
    for chosen in (mask, row, mask[0]):
        same(both("masked_fill", FIRST, 1.5), CUBE, chosen)
        same(lambda m, x, b, v: x.masked_fill(b, v), CUBE, chosen, floats())
        same(lambda m, x, b: (x.masked_select(b), m.masked_select(x, b)), CUBE, chosen)
        same(both("masked_scatter", FIRST, SECOND), CUBE, chosen, floats(4, 7, seed=9))
    same(lambda m, x, b: (x[0].masked_fill(b, 0.0), x[0, 0].masked_select(b)), CUBE, mask)
    same(lambda m, x, b: x.masked_fill(b, 7), ints(2, 3, 4), mask)


def test_nonzero():
    array = ints(2, 3, high=2)
    same(
        lambda m, x: (
            x.nonzero(),
            m.nonzero(x, as_tuple=True),
            m.argwhere(x),
            x[0].nonzero(as_tuple=True),
        ),
        array,
    )
    same(
        lambda m, x: (
            x.nonzero(),
            x.nonzero(as_tuple=True),
            (x * 0).nonzero(),
            (x * 0).nonzero(as_tuple=True),
        ),
        np.array(3),
    )


def test_searchsorted():
    edges, wanted = np.sort(floats(2, 3, 6)), floats(2, 3, 5, seed=1)
    wanted[0, 0, 0] = edges[0, 0, 2]
    for right in (False, True):
        same(
            lambda m, e, w, right=right: m.searchsorted(e, w, right=right),
            edges,
            wanted,
            grad=False,
        )
        same(
            lambda m, e, w, right=right: m.bucketize(w, e[0, 0], right=right),
            edges,
            wanted,
            grad=False,
        )
    same(
        lambda m, e, w: m.searchsorted(e[0, 0], w, side="right", out_int32=True),
        edges,
        wanted,
        grad=False,
    )
    same(lambda m, e: (m.searchsorted(e[0, 0], 0.3), m.bucketize(0.3, e[0, 0])), edges, grad=False)
    same(
        lambda m, e, w: m.searchsorted(e.flip(2), w, sorter=m.arange(5, -1, -1).repeat(2, 3, 1)),
        edges,
        wanted,
        grad=False,
    )


def test_one_hot():
    same(lambda m, x: (m.nn.functional.one_hot(x), m.nn.functional.one_hot(x, 7)), ints(2, 3))


def test_repeat_interleave_of_repeats():
    same(lambda m, r: m.repeat_interleave(r), np.array([2, 0, 3]))


def test_unravel_index():
    same(lambda m, x: (m.unravel_index(x, (2, 3, 4)), m.unravel_index(x, 24)), ints(2, 3, high=24))


# ---- a part of much is written where it is


ROWS = np.array([[5, 70, 3, 5], [0, 99, 4, 4]])
PARTS = {
    "index_put_": lambda m, x, i, v: x.index_put_((i[0],), v),
    "index_put_ adding": lambda m, x, i, v: x.index_put_((i[0], i[1]), v[:, 0], accumulate=True),
    "a key": lambda m, x, i, v: x.__setitem__((i[0][:3], slice(None)), v[:3]),
    "a mask": lambda m, x, i, v: x.__setitem__(x.detach() > 1, 0.5),
    "scatter_": lambda m, x, i, v: x.scatter_(0, i[:, :3], v[:2, :3]),
    "scatter_add_": lambda m, x, i, v: x.scatter_add_(1, i, v[:2, :4]),
    "scatter_reduce_": lambda m, x, i, v: x.scatter_reduce_(0, i, v[:2, :4], "prod"),
    "scatter_reduce_ alone": lambda m, x, i, v: x.scatter_reduce_(
        0, i, v[:2, :4], "amax", include_self=False
    ),
    "index_add_": lambda m, x, i, v: x.index_add_(0, i[0], v, alpha=2),
    "index_copy_": lambda m, x, i, v: x.index_copy_(1, i[1][:3], x.detach()[:, 7:10] * 2),
    "index_fill_": lambda m, x, i, v: x.index_fill_(0, i[0], 3.0),
}


@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_much_is_written_with_its_gradients(name, turned):
    many, some = floats(100, 100), floats(4, 100)
    found = []
    for m in (torch, dt):
        x, v = (m.tensor(a.tolist(), dtype=m.float64, requires_grad=True) for a in (many, some))
        target = x * 2
        target = target.T if turned else target
        before = target.data_ptr()
        PARTS[name](m, target, m.tensor(ROWS.tolist()), v)
        assert target.data_ptr() == before and target._version == 1
        (target * target).sum().backward()
        grads = [None if y.grad is None else y.grad.tolist() for y in (x, v)]
        found.append((target.tolist(), grads))
    (values, grads), (ours, our_grads) = found
    np.testing.assert_allclose(ours, values, rtol=1e-12)
    for one, other in zip(our_grads, grads, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_part_of_much_may_come_from_the_same_memory():
    i = [0, 1, 2, 3]
    for write in (
        lambda m, x: x.index_copy_(0, m.tensor(i), x[1:5]),
        lambda m, x: x.__setitem__(m.tensor(i), x[1:5]),
        lambda m, x: x.index_add_(0, m.tensor(i), x[1:5]),
    ):
        x = floats(100, 100)
        ours = dt.tensor(x.copy())
        write(dt, ours)
        beside = dt.tensor(x[:20, :20].copy())  # short, so it is computed beside it
        write(dt, beside)
        np.testing.assert_array_equal(ours[:20, :20].tolist(), beside.tolist())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, v: x.__setitem__(dt.tensor([1, 100]), v[:2]),
        lambda x, v: x.__setitem__(dt.tensor([1, 2]), v[:3]),
        lambda x, v: x.index_put_((dt.tensor([1, 100]),), v[:2], accumulate=True),
        lambda x, v: x.index_add_(0, dt.tensor([1, 100]), v[:2]),
        lambda x, v: x.index_copy_(0, dt.tensor([1, -1]), v[:2]),
        lambda x, v: x.scatter_(0, dt.tensor([[1, 100]]), v[:1, :2]),
        lambda x, v: x.scatter_add_(0, dt.tensor([[1, 100]]), v[:1, :2]),
        lambda x, v: x.scatter_reduce_(0, dt.tensor([[1, 100]]), v[:1, :2], "amin"),
    ],
)
def test_what_is_refused_has_written_nothing_of_much(wrong):
    x, v = dt.zeros(100, 100), dt.ones(4, 100)
    with pytest.raises((IndexError, RuntimeError)):
        wrong(x, v)
    assert not x.any() and x._version == 0


def test_what_was_saved_of_much_is_missed_when_a_part_is_written():
    x = dt.ones(100, 100, requires_grad=True) * 1
    y = x * x
    x.index_fill_(0, dt.tensor([3]), 2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
