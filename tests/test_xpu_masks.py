"""Masks on xpu, by kernels of our own, beside NumPy's results."""

import os

import numpy as np
import pytest

import devices
import devtensor as dt

os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")  # read when xpu is first loaded

ABSENT = devices.absent("xpu")
if ABSENT:
    pytest.skip(devices.missing("xpu", ABSENT), allow_module_level=True)

from devtensor_dpnp import arithmetic, masks, runtime  # noqa: E402

LAST = f"xpu:{len(runtime.QUEUES) - 1}"
LONG = 2 * arithmetic.RUN + 3
# Shapes, and the dimensions that the mask has.
MASKS = [
    ((7,), 0, 1),
    ((LONG,), 0, 1),
    ((3, LONG), 0, 2),
    ((5, 6, 4), 0, 1),
    ((5, 6, 4), 1, 2),
    ((5, 6, 4), 2, 3),
    ((2, 3, 2, 5), 1, 3),
    ((0, 4), 0, 1),
    ((1, 1), 0, 2),
]


def there(array):
    return dt.tensor(array).to(LAST)


def layouts(array):
    """A host array, and the same elements in another order in memory."""
    yield array, there(array)
    if array.ndim > 1:
        turned = np.ascontiguousarray(array.swapaxes(0, -1))
        yield array, there(turned).transpose(0, -1)


@pytest.mark.parametrize(
    ("dtype", "share"), [("int8", 0), ("int8", 1), ("float32", 0.4), ("complex128", 0.4)]
)
def test_masks_choose_what_numpys_do(dtype, share):
    random = np.random.default_rng(0)
    for shape, first, last in MASKS:
        array = random.integers(-9, 9, shape).astype(dtype)
        mask = random.random(shape[first:last]) < share
        here = (*[slice(None)] * first, mask)
        key = (*here[:-1], there(mask))
        for one, two in layouts(array):
            chosen = one[here]
            found = two[key]
            assert np.array_equal(found.cpu().numpy(), chosen)
            assert found.shape == chosen.shape
            for values in (chosen + 1, (chosen + 1)[..., :1]):
                wanted, changed = one.copy(), two.clone()
                wanted[here] = values
                changed[key] = there(values)
                assert np.array_equal(changed.cpu().numpy(), wanted)


@pytest.mark.parametrize("shape", [(LONG,), (40, 300), (3, 5, 4), (0, 3)])
def test_places_of_what_is_not_0(shape):
    array = np.random.default_rng(0).integers(-1, 2, shape)
    for dtype in ("float32", "complex64"):
        for one, two in layouts(array.astype(dtype)):
            assert np.array_equal(two.nonzero().cpu().numpy(), np.argwhere(one))
            every = zip(two.nonzero(as_tuple=True), np.nonzero(one), strict=True)
            assert all(np.array_equal(found.cpu().numpy(), wanted) for found, wanted in every)


def test_masks_of_what_kernels_do_not_know(monkeypatch):
    monkeypatch.setattr(masks, "takes_source", lambda x: False)
    array = np.arange(24.0).reshape(4, 6)
    mask = array % 5 < 2
    assert np.array_equal(there(array)[there(mask)].cpu().numpy(), array[mask])
    assert np.array_equal(there(mask).nonzero().cpu().numpy(), np.argwhere(mask))


def test_gradients_through_masks():
    mask = dt.rand(60, 100) > 0.5
    found = []
    for place in ("cpu", LAST):
        x = dt.arange(6000.0, device=place).view(60, 100).requires_grad_()
        chosen = mask.to(place)
        y = x * 1
        y[chosen] = x[chosen] * 3
        y.masked_scatter(~chosen, x * 2).sum().backward()
        found.append((y.detach().cpu().numpy(), x.grad.cpu().numpy()))
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)


def changes(x):
    """Changes of a part of a tensor, which are refused."""
    rows, wrong = dt.ones(2, x.shape[1], device=LAST), dt.tensor([1, len(x)], device=LAST)
    below = dt.tensor([1, -1], device=LAST)
    yield IndexError, lambda: x.index_put_((wrong,), rows)
    yield RuntimeError, lambda: x.index_add_(0, below, rows)
    yield IndexError, lambda: x.index_copy_(0, wrong, rows)
    yield RuntimeError, lambda: x.scatter_(0, wrong[:, None].expand(2, x.shape[1]), rows)
    yield RuntimeError, lambda: x.scatter_add_(0, below[:, None].expand(2, x.shape[1]), rows)
    yield RuntimeError, lambda: x.index_put_((x > 0,), rows[0, :3])
    yield RuntimeError, lambda: x.masked_scatter_(x > 0, rows[0, :3])


def test_parts_are_changed_in_place_and_nothing_is_if_they_are_refused():
    array = np.random.default_rng(0).integers(-9, 9, (60, 100)).astype("float32")
    x = there(array)
    place = x.data_ptr()
    for error, change in changes(x):
        with pytest.raises(error):
            change()
        assert np.array_equal(x.cpu().numpy(), array)
    key = np.array([3, -1, 3, 0])
    rows = np.arange(400.0, dtype="float32").reshape(4, 100)
    np.add.at(array, key, rows)
    x.index_put_((there(key),), there(rows), accumulate=True)
    array[:, key] = 7
    x.index_copy_(1, there(key % 100), dt.full((60, 4), 7.0, device=LAST))
    array[array > 3] -= 1
    x[x > 3] = x[x > 3] - 1
    assert np.array_equal(x.cpu().numpy(), array)
    assert x.data_ptr() == place


def test_memory_that_a_kernel_still_uses_is_not_lent_again():
    x = dt.ones(1 << 16, device=LAST)
    total = dt.zeros((), device=LAST)
    for _ in range(20):
        total = total + (x * 2 + 1).sqrt().sum()  # whose operands are gone before it has run
    assert total.item() == pytest.approx(20 * 3**0.5 * (1 << 16), rel=1e-5)
