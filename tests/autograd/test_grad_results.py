"""What `autograd.grad` returns is the caller's own, and copied only where it must be."""

import pytest

import devtensor as dt


def places(*tensors):
    """Where the memory of tensors is."""
    return {x.untyped_storage().data_ptr() for x in tensors}


@pytest.fixture
def g(device):
    return dt.ones(5, device=device)


def test_gradients_of_two_operands_are_two(device, g):
    x, y = (dt.rand(5, device=device, requires_grad=True) for _ in range(2))
    found = dt.autograd.grad(x + y, (x, y), g)
    assert len(places(*found, g)) == 3


def test_the_same_input_twice(device, g):
    x = dt.rand(5, device=device, requires_grad=True)
    found = dt.autograd.grad(x * 2, (x, x), g)
    assert len(places(*found)) == 2
    found[0].zero_()
    assert found[1].tolist() == [2.0] * 5


def test_what_is_saved_stays(device, g):
    x = dt.zeros(5, device=device, requires_grad=True)
    y = x.exp()
    (found,) = dt.autograd.grad(y, x, g, retain_graph=True)
    found.zero_()
    assert y.tolist() == [1.0] * 5
    assert dt.autograd.grad(y, x, g)[0].tolist() == [1.0] * 5


def test_what_a_hook_has_seen_stays(device, g):
    x = dt.rand(5, device=device, requires_grad=True)
    seen = []
    y = x * 3
    y.register_hook(seen.append)
    found = dt.autograd.grad(y.view(5), (y, x), g)
    assert len(places(*found)) == 2 and not places(*found) & places(*seen, g)
    found[0].zero_()
    assert seen[0].tolist() == [1.0] * 5


def test_sums_can_be_written(device):
    x = dt.rand(2, 3, device=device, requires_grad=True)
    (found,) = dt.autograd.grad(x.sum(), x)
    found[0, 0] = 7.0
    assert found.tolist() == [[7.0, 1.0, 1.0], [1.0, 1.0, 1.0]]


def test_what_is_new_is_not_copied(device, monkeypatch):
    x = dt.rand(5, device=device, requires_grad=True)
    y, g = x * 3, dt.ones(5, device=device)
    xp = x.device.backend.xp if hasattr(x.device, "backend") else None
    if xp is None:
        pytest.skip("this device does not show its namespace")
    copies = []
    asarray = xp.asarray

    def watched(*args, copy=None, **options):
        copies.append(copy)
        return asarray(*args, copy=copy, **options)

    monkeypatch.setattr(xp, "asarray", watched)
    (found,) = dt.autograd.grad(y, x, g)
    assert found.tolist() == [3.0] * 5 and True not in copies
