"""Fourier transforms against PyTorch: values, first and second gradients, refusals."""

import numpy as np
import pytest
import torch
from beside_torch import floats, refused, same, tensors

import devtensor as dt
import devtensor.fft

ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
TWO = [f"{name}2" for name in ONE]
MANY = [f"{name}n" for name in ONE]
REAL = {"rfft", "ihfft", "rfft2", "ihfft2", "rfftn", "ihfftn"}
NORMS = [None, "backward", "ortho", "forward"]


def transform(m, name, inputs, *args, **options):
    """The transform of one real tensor or of one with an imaginary part, as real numbers."""
    x = inputs[0] if len(inputs) == 1 else m.complex(*inputs)
    out = getattr(m.fft, name)(x, *args, **options)
    return m.view_as_real(out.resolve_conj()) if out.dtype.is_complex else out


def second(call, *arrays):
    """Assert that gradients of gradients agree."""
    found = []
    for m in (dt, torch):
        inputs = tensors(m, arrays, True)
        slopes = m.autograd.grad((call(m, *inputs) ** 3).sum(), inputs, create_graph=True)
        total = sum((s * s * x.detach()).sum() for s, x in zip(slopes, inputs, strict=True))
        total.backward()
        found.append([x.grad.numpy() for x in inputs])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-8 * np.abs(two).max())


def both(name, shape, *args, **options):
    """Real input, and complex input where it is taken."""
    for count in (1,) if name in REAL else (1, 2):
        arrays = [floats(*shape, seed=i) for i in range(count)]

        def call(m, *xs):
            return transform(m, name, xs, *args, **options)

        same(call, *arrays)
        second(call, *arrays)


@pytest.mark.parametrize("name", ONE)
def test_one_dimension(name):
    for shape in ((6,), (5,), (2, 4), (3, 5), (2, 3, 4)):
        both(name, shape)
    both(name, (4, 3), dim=0)
    both(name, (2, 5, 3), dim=-2)
    for n in (1, 2, 3, 4, 5, 8, 9):
        both(name, (2, 5), n)
        both(name, (5, 2), n, 0)


@pytest.mark.parametrize("name", ONE + TWO + MANY)
@pytest.mark.parametrize("norm", NORMS)
def test_scales(name, norm):
    for shape in ((3, 4), (3, 5)):
        both(name, shape, norm=norm)


@pytest.mark.parametrize("name", TWO + MANY)
def test_several_dimensions(name):
    for shape in ((3, 4), (4, 3), (2, 3, 4), (2, 2, 3, 3)):
        both(name, shape)
    for dims in ((0, 1), (1, 0), (-1, 0), (2, 0)):
        both(name, (3, 4, 2), dim=dims)
    for sizes in ((3, 4), (2, 6), (5, 3), (-1, 4), (4, -1)):
        both(name, (3, 5), sizes)
        both(name, (2, 3, 5), sizes, (2, 1))
    both(name, (3, 5), dim=1)


@pytest.mark.parametrize("name", MANY)
def test_any_number_of_dimensions(name):
    both(name, (2, 3, 4), (3,))
    both(name, (2, 3, 4), (2, 2, 6))
    both(name, (2, 3, 4), dim=(0, 1, 2), norm="ortho")
    both(name, (4,))


def test_no_dimensions():
    same(lambda m, x: m.view_as_real(m.fft.fftn(x)), floats())
    same(lambda m, x: m.view_as_real(m.fft.ifftn(x, dim=())), floats(2, 3))


@pytest.mark.parametrize("name", ONE + TWO + MANY)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_types(name, dtype):
    x = np.abs(floats(3, 4) * 3).astype(dtype)
    same(lambda m, x: transform(m, name, [x]), x, rtol=1e-5)


def test_complex_singles():
    x, y = floats(3, 4).astype("float32"), floats(3, 4, seed=1).astype("float32")
    for name in ("fft", "irfft", "hfftn", "ifft2"):
        same(lambda m, *xs, name=name: transform(m, name, xs), x, y, rtol=1e-5)


@pytest.mark.parametrize("name", ["fft", "rfft", "irfft"])
def test_out(name):
    found = []
    for m in (dt, torch):
        x = m.tensor(floats(3, 4).tolist(), dtype=m.float32)
        kind = m.float32 if name == "irfft" else m.complex64
        shape = {"fft": (3, 4), "rfft": (3, 3), "irfft": (3, 6)}[name]
        out = m.empty(shape, dtype=kind)
        assert getattr(m.fft, name)(x, out=out) is out
        other = m.float64 if name == "irfft" else m.complex128
        wide = getattr(m.fft, name)(x, out=m.empty(0, dtype=other))
        found += [out.numpy(), wide.numpy()]
        with pytest.raises(RuntimeError):
            getattr(m.fft, name)(x.requires_grad_(), out=out)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-5)
    np.testing.assert_allclose(found[1], found[3], rtol=1e-5)


@pytest.mark.parametrize("name", ["fftfreq", "rfftfreq"])
def test_frequencies(name):
    for n in (1, 2, 5, 8):
        for d in (1.0, 0.1):
            same(lambda m, n=n, d=d: getattr(m.fft, name)(n, d))
            same(lambda m, n=n, d=d: getattr(m.fft, name)(n, d=d, dtype=m.float64))
    assert getattr(dt.fft, name)(4, requires_grad=True).requires_grad
    out = dt.empty(0)
    assert getattr(dt.fft, name)(4, out=out) is out
    assert out.tolist() == getattr(torch.fft, name)(4).tolist()
    refused(lambda m: getattr(m.fft, name)(5, dtype=m.int64), phrase="requires a floating point")
    refused(lambda m: getattr(m.fft, name)(-5), phrase="negative dimension")


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts(name):
    for shape in ((5,), (4,), (3, 4), (2, 3, 5)):
        same(lambda m, x: getattr(m.fft, name)(x), floats(*shape))
        same(lambda m, x: getattr(m.fft, name)(x, dim=-1), floats(*shape))
    same(lambda m, x: getattr(m.fft, name)(x, (0, 2)), floats(2, 3, 5))
    same(lambda m, x: getattr(m.fft, name)(x), np.arange(5))
    refused(lambda m, x: getattr(m.fft, name)(x, 1), floats(3), phrase="Dimension out of range")
    refused(lambda m, x: getattr(m.fft, name)(x), floats(), phrase="`shifts` required")


def test_shifts_undo_each_other():
    x = dt.tensor(floats(4, 5))
    assert (dt.fft.ifftshift(dt.fft.fftshift(x)) == x).all()


def test_inverses():
    x, z = (
        dt.tensor(floats(5, 6)),
        dt.complex(dt.tensor(floats(5, 6)), dt.tensor(floats(5, 6, seed=1))),
    )
    for norm in NORMS:
        for there, back in (("fft", "ifft"), ("fft2", "ifft2"), ("fftn", "ifftn")):
            again = getattr(dt.fft, back)(getattr(dt.fft, there)(z, norm=norm), norm=norm)
            np.testing.assert_allclose(again.numpy(), z.numpy(), atol=1e-12)
        for there, back in (
            ("rfft", "irfft"),
            ("rfftn", "irfftn"),
            ("ihfft", "hfft"),
            ("ihfft2", "hfft2"),
        ):
            again = getattr(dt.fft, back)(getattr(dt.fft, there)(x, norm=norm), norm=norm)
            np.testing.assert_allclose(again.numpy(), x.numpy(), atol=1e-12)


def test_names_of_steps():
    x = floats(3, 4)
    for name in ("fft", "rfft", "irfft", "hfft", "ifftn"):
        steps = []
        for m in (dt, torch):
            z = (
                m.complex(*tensors(m, (x, x), True))
                if name not in REAL
                else tensors(m, (x,), True)[0]
            )
            steps.append(getattr(m.fft, name)(z).grad_fn.name())
        assert steps[0] == steps[1]


def test_nothing_is_saved():
    packed = []
    z = dt.complex(dt.tensor(floats(4)), dt.tensor(floats(4))).requires_grad_()
    with dt.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        dt.fft.irfft(dt.fft.fft(z))
    assert packed == []


@pytest.mark.parametrize("name", ONE)
def test_refused_over_one_dimension(name):
    def call(*args, **options):
        return lambda m, x: getattr(m.fft, name)(x, *args, **options)

    refused(call(), floats(), phrase="but tensor has no dimensions")
    refused(call(dim=2), floats(2, 3), phrase="Dimension out of range")
    refused(call(dim=None), floats(2, 3), phrase="must be int, not NoneType")
    for n in (0, -1, -2):
        refused(call(n), floats(2, 3), phrase=f"Invalid number of data points ({n}) specified")
    refused(call(2.5), floats(2, 3), phrase="must be int, not float")
    refused(call(norm="large"), floats(2, 3), phrase='Invalid normalization mode: "large"')
    refused(call(norm=1), floats(2, 3), phrase="'norm' must be str, not int")
    refused(call(), floats(3).astype("float16"), phrase="Unsupported dtype Half")
    if name in REAL:
        refused(
            lambda m, x: getattr(m.fft, name)(m.complex(x, x)),
            floats(3),
            phrase="expects a real input tensor, but got ComplexDouble",
        )
    if name in ("irfft", "hfft"):
        refused(call(), floats(2, 1), phrase="Invalid number of data points (0) specified")


@pytest.mark.parametrize("name", TWO + MANY)
def test_refused_over_several_dimensions(name):
    def call(*args, **options):
        return lambda m, x: getattr(m.fft, name)(x, *args, **options)

    refused(call(dim=(0, 2)), floats(2, 3), phrase="Dimension out of range")
    refused(call(dim=(1, -1)), floats(2, 3), phrase="FFT dims must be unique")
    refused(call((2,), (0, 1)), floats(2, 3), phrase="must have the same length")
    refused(call((0, 3)), floats(2, 3), phrase="Invalid number of data points (0) specified")
    refused(call(norm="large"), floats(2, 3), phrase='Invalid normalization mode: "large"')
    if name in MANY:
        refused(call((2, 2, 2)), floats(2, 3), phrase="Got shape with 3 values but input")
    if name not in ("fft2", "fftn", "ifft2", "ifftn"):
        refused(call(dim=()), floats(2, 3), phrase="must transform at least one axis")
    if name in REAL:
        phrase = "but found: ComplexDouble" if name[0] == "i" else "expects a real-valued input"
        refused(lambda m, x: getattr(m.fft, name)(m.complex(x, x)), floats(3, 3), phrase=phrase)


def test_an_out_of_another_kind_is_refused():
    refused(
        lambda m, x: m.fft.fft(x, out=m.empty(0)),
        floats(3),
        phrase="fft expects a complex output tensor, but got Float",
    )
    refused(
        lambda m, x: m.fft.irfft(x, out=m.empty(0, dtype=m.complex64)),
        floats(3),
        phrase="irfft expects a floating point output tensor, but got ComplexFloat",
    )
