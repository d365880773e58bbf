"""What PyTorch's operator tests try beyond the examples: odd shapes, types and arguments."""

import numpy as np
import pytest
from beside_torch import floats, ints, same

import devtensor as dt

torch = pytest.importorskip("torch")


def both(call):
    """What a call gives on both, as NumPy arrays."""
    results = [call(module) for module in (torch, dt)]
    return [
        [np.asarray(x.detach().numpy()) for x in (r if isinstance(r, (tuple, list)) else [r])]
        for r in results
    ]


def agree(call, rtol=1e-9):
    theirs, ours = both(call)
    for one, two in zip(ours, theirs, strict=True):
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol)


def complex_matrix(module, n=4, seed=0):
    random = np.random.default_rng(seed)
    data = random.standard_normal((n, n)) + 1j * random.standard_normal((n, n))
    return module.tensor(data.tolist(), dtype=module.complex128)


# ---- elementwise


def test_directions_of_nan():
    agree(lambda m: m.sgn(m.tensor([complex(0, np.nan), complex(np.nan, 1), 3 + 4j, 0j])))
    agree(lambda m: m.sgn(m.tensor([np.nan, -0.0, -3.0])))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64"])
def test_right_shift_by_all_bits(dtype):
    def call(m):
        t = getattr(m, dtype)
        x = m.tensor([100, 101, 102, 3], dtype=t)
        return m.bitwise_right_shift(x, m.tensor([8, 100, 1, 7], dtype=t))

    agree(call)


def test_square_of_bools():
    agree(lambda m: m.square(m.tensor([True, False])))


def test_complex_log_of_sums():
    inf = float("inf")
    x = [1 + 2j, -3 + 1j, 0.5 - 4j, -inf + 0j]
    y = [0.5 + 1j, 2 - 2j, 30 + 1j, -inf + 0j]

    def call(m):
        one, two = (m.tensor(v, dtype=m.complex128) for v in (x, y))
        return m.logaddexp(one, two)

    agree(call)


@pytest.mark.parametrize("name", ["logsumexp", "logcumsumexp"])
def test_complex_sums_of_exponentials(name):
    slopes = []
    for m in (torch, dt):
        x = complex_matrix(m).requires_grad_()
        out = getattr(m, name)(x, 1)
        (out * complex_matrix(m, seed=1)[:, : out.shape[-1]].sum()).abs().sum().backward()
        slopes.append((out.detach().numpy(), x.grad.resolve_conj().numpy()))
    np.testing.assert_allclose(slopes[1][0], slopes[0][0], rtol=1e-10)
    np.testing.assert_allclose(slopes[1][1], slopes[0][1], rtol=1e-10)


def test_polygamma_as_a_method():
    same(lambda m, x: x.polygamma(2), np.abs(floats(3)) + 0.5)
    same(lambda m, x: x.clone().polygamma_(1), np.abs(floats(3)) + 0.5)


# ---- indices


def test_empty_index_of_any_type():
    same(lambda m, x: m.gather(x, 0, m.zeros(0, dtype=m.uint8)), floats(5))


def test_alpha_wraps_in_unsigned_types():
    def call(m):
        x = m.tensor([5, 6, 7], dtype=m.uint8)
        return m.index_add(x, 0, m.tensor([0, 2]), m.tensor([6, 1], dtype=m.uint8), alpha=-1)

    agree(call)


def test_a_part_filled_twice_counts_once():
    same(lambda m, x, v: m.index_fill(x, 1, m.tensor([2, 0, 2]), v), floats(3, 4), floats())
    same(lambda m, x, v: m.index_fill(x, 0, m.tensor([0]), v), floats(), floats())


@pytest.mark.parametrize("shape", [((0, 0), (0, 0)), ((2, 0), (2, 3)), ((2, 3), (2, 0))])
def test_search_among_nothing(shape):
    agree(lambda m: m.searchsorted(m.zeros(shape[0]), m.zeros(shape[1])))


def test_unravelled_places_are_int64():
    agree(lambda m: m.unravel_index(m.tensor([7, 3], dtype=m.uint8), (4, 5)))


@pytest.mark.parametrize("reduce", ["amin", "amax"])
def test_extremes_of_bfloat16(reduce):
    def call(m):
        x = m.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=m.bfloat16)
        index = m.tensor([[0, 0], [0, 1]])
        return x.scatter_reduce(0, index, x, reduce, include_self=False).float()

    agree(call)


def test_counting_from_below_zero_in_unsigned_types():
    agree(lambda m: m.arange(-1, 3, 2, dtype=m.uint8))


# ---- new tensors


def test_strides_of_ones_own():
    for m in (torch, dt):
        x = m.empty_strided((2, 3), (1, 2), dtype=m.float64)
        assert (tuple(x.shape), x.stride(), x.dtype) == ((2, 3), (1, 2), m.float64)
        assert not x._is_view()
        y = m.zeros(2, dtype=m.int32).new_empty_strided((3, 2), (1, 4))
        assert (tuple(y.shape), y.stride(), y.dtype) == ((3, 2), (1, 4), m.int32)
        z = m.empty_permuted((2, 3, 4), (0, 2, 1))
        assert (tuple(z.shape), z.stride()) == ((2, 3, 4), (12, 1, 3))
        x.fill_(3)
        assert x.sum().item() == 18
        assert m.empty_strided((0, 2), (1, 1)).numel() == 0
        with pytest.raises(RuntimeError, match="must match dimensionality of strides"):
            m.empty_strided((2, 3), (1,))
        with pytest.raises(RuntimeError, match="physical_layout"):
            m.empty_permuted((2, 3), (0,))
        with pytest.raises(RuntimeError):
            m.empty_permuted((2, 3), (0, 0))


# ---- differences


@pytest.mark.parametrize("edge", [1, 2])
def test_gradient_of_points(edge):
    same(lambda m, x: m.gradient(x, edge_order=edge), floats(3, 4))
    same(lambda m, x: m.gradient(x, spacing=2.5, dim=1, edge_order=edge), floats(3, 4))
    same(lambda m, x: m.gradient(x, spacing=[0.5, 2.0], edge_order=edge), floats(3, 5))
    same(lambda m, x: m.gradient(x, dim=(-1, 0), edge_order=edge), floats(4, 3))
    places = np.array([0.0, 1.0, 1.5, 4.0])
    same(lambda m, x, p: m.gradient(x, spacing=(p,), dim=0, edge_order=edge), floats(4, 2), places)
    agree(lambda m: m.gradient(m.tensor([1, 4, 9, 16]), edge_order=edge), rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"edge_order": 3}, {"spacing": [1.0, 2.0]}, {"dim": 5}, {"edge_order": 2}],
    ids=repr,
)
def test_gradient_refuses(options):
    raised = []
    for m in (torch, dt):
        with pytest.raises((RuntimeError, IndexError)) as caught:
            m.gradient(m.arange(2.0), **options)
        raised.append(caught.type)
    assert raised[0] is raised[1]


# ---- matrices


def test_only_one_triangle_counts():
    def call(m):
        return m.linalg.pinv(complex_matrix(m), hermitian=True)

    agree(call, rtol=1e-8)


@pytest.mark.parametrize("triangle", ["L", "U"])
def test_slopes_of_eigenvectors_are_symmetric(triangle):
    slopes = []
    for m in (torch, dt):
        x = complex_matrix(m).requires_grad_()
        values, vectors = m.linalg.eigh(x, UPLO=triangle)
        weights = m.arange(16, dtype=m.float64).reshape(4, 4).cos()
        ((vectors.abs() * weights).sum() + (values * values).sum()).backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-8, atol=1e-10)


def test_slope_of_a_complex_factor():
    slopes = []
    for m in (torch, dt):
        x = complex_matrix(m)
        x = (x @ x.mH).requires_grad_()
        m.linalg.cholesky(x).backward(complex_matrix(m, seed=2))
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-8, atol=1e-10)


def test_slope_of_complex_singular_values():
    slopes = []
    for m in (torch, dt):
        x = complex_matrix(m).requires_grad_()
        m.linalg.svd(x).S.cumsum(0).prod().backward()
        slopes.append(x.grad.numpy())
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-8)


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("ord", [1, float("inf"), 2, "nuc", "fro"])
@pytest.mark.parametrize("shape", [(5, 0), (0, 5), (2, 0, 3)])
def test_norms_of_empty_matrices(shape, ord, keepdim):
    agree(lambda m: m.linalg.matrix_norm(m.zeros(shape), ord, keepdim=keepdim))


def test_norms_of_single_numbers():
    for ord in (0, 1, 2, 3, float("inf")):
        same(lambda m, x, ord=ord: m.linalg.vector_norm(x, ord, dim=0), floats())
    same(lambda m, x: m.norm(x, 2, 0, True), floats())
    same(lambda m, x: m.nn.functional.normalize(x, dim=0), floats())


def test_norms_of_halves_do_not_overflow():
    agree(lambda m: m.linalg.vector_norm(m.tensor([8.0, 9.0]).half(), 6), rtol=1e-3)


def test_tolerances_that_are_tensors():
    def call(m):
        x = m.tensor([[[1.0, 0.0], [0.0, 0.1]], [[1.0, 0.0], [0.0, 0.1]]], dtype=m.float64)
        return m.linalg.matrix_rank(x, atol=m.tensor([0.5, 0.0]))

    agree(call)
    agree(lambda m: m.linalg.matrix_rank(m.zeros(0, 3, 3), atol=m.zeros(0), rtol=m.zeros(0)))


def test_no_power_keeps_the_graph():
    for m in (torch, dt):
        x = m.ones(2, 2, requires_grad=True)
        m.linalg.matrix_power(x, 0).sum().backward()
        assert x.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


# ---- windows over empty batches


def test_windows_of_an_empty_batch():
    agree(lambda m: m.nn.functional.unfold(m.zeros(0, 2, 5, 5), 2))
    agree(lambda m: m.nn.functional.fold(m.zeros(0, 8, 16), (5, 5), 2))


def test_ints_are_searched():
    same(lambda m, x, y: m.searchsorted(x, y), np.sort(ints(5)), ints(2, 3))


# ---- arguments


def test_images_of_bytes():
    image = ints(2, 3, 5, 4, high=255)
    for mode in ("bilinear", "bicubic"):
        results = []
        for m in (torch, dt):
            x = m.tensor(image.tolist(), dtype=m.uint8)
            y = m.nn.functional.interpolate(x, size=(7, 6), mode=mode)
            assert y.dtype is m.uint8
            results.append(np.asarray(y.tolist()))
        assert np.abs(results[0] - results[1]).max() <= 1


def test_no_images_and_no_channels():
    agree(lambda m: m.nn.functional.batch_norm(m.zeros(0), m.zeros(0), m.zeros(0), training=True))


def test_one_variance_to_several_numbers():
    variance = np.abs(floats(1, 3)) + 0.5
    same(
        lambda m, x, y, v: m.nn.functional.gaussian_nll_loss(x, y, v),
        floats(4, 3),
        floats(4, 3),
        variance,
    )
    raised = []
    for m in (torch, dt):
        with pytest.raises(ValueError, match="incorrect size") as caught:
            m.nn.functional.gaussian_nll_loss(m.ones(4, 3), m.ones(4, 3), m.ones(1, 1))
        raised.append(caught.type)
    assert raised[0] is raised[1]


def test_loss_of_whole_numbers():
    x, y, sign = (np.array(v) for v in ([1, 2], [1, 3], [1, -1]))
    agree(lambda m: m.nn.functional.margin_ranking_loss(*[m.tensor(v) for v in (x, y, sign)]))


def test_normalized_into_a_tensor():
    for m in (torch, dt):
        out = m.zeros(0, dtype=m.float64)
        x = m.tensor([[3.0, 4.0]], dtype=m.float64)
        assert m.nn.functional.normalize(x, out=out) is out
        assert out.tolist() == [[0.6, 0.8]]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.narrow(m.ones(3), 0, m.tensor(True), 1),
        lambda m: m.narrow(m.ones(3), 0, m.tensor([1]), 1),
        lambda m: m.roll(m.tensor(1.0), 0, 0),
        lambda m: m.nn.functional.rrelu(m.ones(3), 0.3, 0.1),
        lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2, 2).long(), size=3, mode="bilinear"),
        lambda m: m.maximum(m.ones(3), 2),
        lambda m: m.eq(2, m.ones(3)),
        lambda m: m.pow(2, 3),
        lambda m: m.max(m.ones(3), m.ones(3), out=m.ones(3, dtype=m.int64)),
        lambda m: m.mm(m.ones(2, 2), m.ones(2, 2), out=m.ones(2, 2, dtype=m.float64)),
        lambda m: m.isposinf(m.ones(2), out=m.ones(2)),
    ],
    ids=range(11),
)
def test_refused_alike(call):
    raised = []
    for m in (torch, dt):
        with pytest.raises((RuntimeError, IndexError, TypeError)) as caught:
            call(m)
        raised.append(caught.type)
    assert raised[0] is raised[1]


# ---- views that are copied


def test_copies_are_contiguous_and_apart():
    for m in (torch, dt):
        x = m.arange(6.0).reshape(2, 3)
        for y in (
            m.permute_copy(x, (1, 0)), m.expand_copy(x[:1], (2, 3)), m.select_copy(x, 1, 0),
            m.slice_copy(x, 1, 1, None, 1), m.as_strided_copy(x, (2, 2), (1, 2)), m.t_copy(x),
            *m.unbind_copy(x), *m.split_copy(x, 2, 1), m.view_copy(x, (3, 2)), m.detach_copy(x),
        ):  # fmt: skip
            assert y.is_contiguous()
            y.fill_(-1)
        assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    same(lambda m, x: m.slice_copy(x, 1, -3, -1), floats(2, 4))
    same(lambda m, x: m.unfold_copy(x, 0, 3, 2), floats(7))
    same(lambda m, x: m.diagonal_copy(x, 1), floats(3, 4))


@pytest.mark.filterwarnings("ignore:index_reduce.. is in beta:UserWarning")
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
def test_parts_are_reduced(reduce, include_self):
    def call(m, x, y):
        index = m.tensor([2, 0, 2])
        return m.index_reduce(x, 0, index, y, reduce, include_self=include_self)

    same(call, floats(4, 3), floats(3, 3, seed=1))
    agree(lambda m: m.ones(4).index_reduce_(0, m.tensor([1, 1]), m.tensor([2.0, 3.0]), reduce))
    for m in (torch, dt):
        with pytest.raises(RuntimeError):
            m.index_reduce(m.ones(3), 0, m.tensor([0]), m.ones(1), "sum")


# ---- polynomials


@pytest.mark.parametrize("name", sorted(n for n in dir(dt.special) if "polynomial" in n))
def test_polynomials(name):
    def call(m):
        x = m.linspace(-2, 2, 9, dtype=m.float64)
        degrees = m.arange(-1, 8).unsqueeze(1)
        return getattr(m.special, name)(x, degrees)

    agree(call)
    agree(lambda m: getattr(m.special, name)(0.3, m.tensor([1, 2])), rtol=1e-6)
    agree(lambda m: getattr(m.special, name)(m.zeros(0), 3), rtol=1e-6)


@pytest.mark.parametrize("name", sorted(n for n in dir(dt.special) if "polynomial" in n))
def test_polynomials_of_large_degrees_end(name):
    compute = getattr(dt.special, name)
    if name.startswith(("laguerre", "legendre")):
        with pytest.raises(RuntimeError, match="up to 65536, and `n` has 1000000000"):
            compute(dt.tensor([0.3]), 1e9)
        return

    def call(m):
        x = m.tensor([-1.0, -0.3, 0.0, 0.4, 0.9, 1.0, 2.0], dtype=m.float64)
        return getattr(m.special, name)(x, m.tensor([[7.0], [50.0], [1000.0]]))

    agree(call, rtol=1e-9)
    assert compute(dt.tensor([0.3, -1.0]), 1e18).shape == (2,)


def test_all_polynomials_are_there():
    names = {n for n in dir(torch.special) if "polynomial" in n}
    assert names == {n for n in dir(dt.special) if "polynomial" in n}


# ---- tails


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("erfcx", [-30.0, -5, -1, 0, 0.5, 4.99, 5, 7, 30, 1e5, np.inf, -np.inf, np.nan]),
        ("log_ndtr", [-1e3, -40.0, -5, -1, -0.5, 0, 1, 9, np.inf, -np.inf, np.nan]),
        ("ndtri", [0.0, 1, 1e-30, 1e-12, 0.01, 0.3, 0.5, 0.5000001, 0.9, 0.9999, -1, 2, np.nan]),
        ("spherical_bessel_j0", [0.0, 1e-4, 1e-3, 0.5, 3, -7, np.inf, -np.inf, np.nan]),
        ("airy_ai", [-5.0, 0, 3, 1e10, 1e30, np.inf, -np.inf, np.nan]),
        ("modified_bessel_i0", [0.0, 1, -5, 20]),
        ("modified_bessel_i1", [0.0, 1, -5, 20]),
    ],
)
def test_special_functions(name, points, dtype):
    def call(m):
        return getattr(m.special, name)(m.tensor(points, dtype=getattr(m, dtype)))

    theirs, ours = both(call)
    rtol = 1e-12 if dtype == "float64" else 3e-6
    np.testing.assert_allclose(ours[0], theirs[0], rtol=rtol)


@pytest.mark.parametrize("name", ["erfcx", "log_ndtr", "ndtri"])
def test_slopes_of_special_functions(name):
    points = np.array([0.03, 0.2, 0.5, 0.9])
    same(lambda m, x: getattr(m.special, name)(x), points)
    if name != "ndtri":
        same(lambda m, x: getattr(m.special, name)(x), np.array([-12.0, -2.0, 6.0]))


# ---- exponentials of rows


@pytest.mark.parametrize("middle", [0.0, 35.0, -35.0, 80.0, -80.0, 300.0, -300.0])
@pytest.mark.parametrize("hidden", [False, True])
def test_softmax_is_exact_wherever_the_scores_are(middle, hidden):
    x = (4 * floats(40, 20) + middle).astype("float32")
    if hidden:
        x[floats(40, 20, seed=1) > 0.5] = -np.inf
    exact = torch.tensor(x, dtype=torch.float64).softmax(1).numpy()
    np.testing.assert_allclose(dt.tensor(x).softmax(1).numpy(), exact, rtol=2e-5)
    q = np.concatenate([x, np.zeros_like(x)], 1)  # attention of scores that are these
    unit = np.eye(20, 40).astype("float32")
    weights = dt.nn.functional.scaled_dot_product_attention(
        *map(dt.tensor, (np.where(np.isinf(q), -1000, q), unit, unit[:, :20])), scale=1.0
    )
    np.testing.assert_allclose(weights.numpy(), exact, rtol=2e-5, atol=1e-20)


def test_softmax_of_rows_that_are_all_hidden():
    x = floats(40, 20).astype("float32")
    x[3] = -np.inf
    agree(lambda m: m.tensor(x).softmax(1), rtol=1e-6)
    x[5, 2] = np.inf
    x[7, 1] = np.nan
    agree(lambda m: m.tensor(x).softmax(1), rtol=1e-6)
