"""Random numbers: their bits against published ones, distributions, PyTorch's ways of asking."""

import copy
import math
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from beside_torch import name, refused
from scipy import stats

import devtensor as dt
import devtensor_strict  # noqa: F401  (registers the device)
from devtensor import random
from devtensor.device import device
from devtensor.dtype import of
from devtensor.nn import functional as F
from devtensor.ops import random as common
from devtensor.space import space_of
from devtensor_numpy.kernels import permutation
from devtensor_numpy.kernels import random as quick

SPACE = space_of(device("cpu"))


@pytest.fixture(autouse=True)
def same_numbers_every_time():
    random.manual_seed(20111)


def array(x):
    return x.detach().cpu().numpy().copy()


def again(call, seed=5):
    """What `call` draws from a generator of its own."""
    return array(call(random.Generator().manual_seed(seed)))


# ---- bits


KNOWN = {  # Random123's kat_vectors for philox4x32-10: counter, key, result
    (0,) * 6: (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    (2**32 - 1,) * 6: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0): (
        0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("given", KNOWN)
def test_philox_gives_the_published_words(given):
    assert common.mixed(given[:4], given[4:]) == KNOWN[given]
    arrays = [np.full(3, word, np.uint64) for word in given[:4]]
    for found, word in zip(common.mixed(arrays, given[4:]), KNOWN[given], strict=True):
        assert found.tolist() == [word] * 3


@pytest.mark.parametrize("kernel", [common.philox.kernel, quick.philox])
def test_the_stream_is_philox_of_seed_and_counter(kernel):
    seed, offset, stream = 0x123456789ABCDEF0, 0x3FFFFFFFFE, 7
    words = kernel(SPACE, 20, seed, offset, stream).tolist()
    for i in range(5):
        place = offset + i
        c = common.mixed((place % 2**32, place >> 32, stream, 0), (seed % 2**32, seed >> 32))
        assert words[4 * i : 4 * i + 4] == [c[1], c[0], c[3], c[2]]


@pytest.mark.parametrize("offset", [0, 5, 4090, 2**32 - 7, 2**34 - 3000, 2**64 - 9])
def test_quick_bits_are_the_common_ones(offset):
    for count in (0, 1, 6, 8191, 8200, 70_001):
        for seed, stream in ((0, 0), (12345678901234567890, 3), (2**64 - 1, 2**32 - 1)):
            one = common.philox.kernel(SPACE, count, seed, offset, stream)
            two = quick.philox(SPACE, count, seed, offset, stream)
            assert one.dtype == two.dtype == np.uint32
            assert np.array_equal(one, two)
            assert two.flags.writeable


DRAWS = {
    "uniform": (0.0, 1.0),
    "normal": (1.0, 2.0),
    "exponential": (2.0,),
    "cauchy": (0.0, 1.0),
    "log_normal": (0.0, 1.0),
    "geometric": (0.3,),
    "bernoulli": (0.3,),
    "random": (-5, 100),
}
TYPES = ["float16", "float32", "float64", "complex64", "complex128", "int8", "int64", "bool"]


def kinds(how):
    return common.KERNELS.get(how, ("", ("float",)))[1]


@pytest.mark.parametrize(
    ("how", "dtype"), [(h, t) for h in DRAWS for t in TYPES if of(np.dtype(t)).kind in kinds(h)]
)
def test_quick_draws_are_the_common_ones(how, dtype):
    native = np.dtype(dtype)
    for count in (0, 1, 7, 4 * quick.COUNTERS + 3):
        one = common.draw.kernel(SPACE, (count,), how, DRAWS[how], 3, 5, native)
        two = quick.draw(SPACE, (count,), how, DRAWS[how], 3, 5, native)
        assert one.dtype == two.dtype == native
        assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("how", "dtype"),
    [
        (h, t)
        for h in DRAWS
        for t in ("float32", "float64", "complex64")
        if of(np.dtype(t)).kind in kinds(h)
    ],
)
def test_small_draws_are_cut_out_of_a_large_one(how, dtype):
    native, seed = np.dtype(dtype), 77
    whole = quick.draw(SPACE, (40_000,), how, DRAWS[how], seed, 2**64 - 1100, native)
    *_, per_counter, _ = plan = quick.scheme(how, DRAWS[how], native)
    cut = 0
    for first in (0, 3, 4, 70, 70, 1000, 1030, 1100, 1100, 1101, 2200, 2100):
        for count in (0, 1, 7, 60):
            offset = (2**64 - 1100 + first) % 2**64
            cut += quick.piece(plan.sample, seed, offset // quick.PIECE).array is not None
            few = quick.draw(SPACE, (1, count), how, DRAWS[how], seed, offset, native)
            start = first * per_counter // plan.many
            assert few.shape == (1, count) and few.flags.writeable
            assert np.array_equal(few[0], whole[start : start + count])
            few.fill(0)  # which nobody else may see
    assert cut > 20


def test_wide_ranges_and_exact_probabilities_draw_alike():
    count = 2 * quick.COUNTERS + 3  # more than a block of what takes 64 bits
    for how, values in (
        ("random", (0, 2**24 + 5)),
        ("random", (-(2**63), 2**64)),
        ("bernoulli", (0.5,)),
        ("bernoulli", (1 / 1024,)),
    ):
        for dtype in (np.dtype(np.int64), np.dtype(np.float64)):
            one = common.draw.kernel(SPACE, (count,), how, values, 3, 5, dtype)
            assert np.array_equal(one, quick.draw(SPACE, (count,), how, values, 3, 5, dtype))


ANYWHERE = {
    "rand": lambda d: dt.rand(3, 5, device=d),
    "rand64": lambda d: dt.rand(3, 5, device=d, dtype=dt.float64),
    "randn": lambda d: dt.randn(7, device=d),
    "complex": lambda d: dt.randn(3, device=d, dtype=dt.complex64),
    "randint": lambda d: dt.randint(3, 50, (7,), device=d),
    "wide": lambda d: dt.randint(0, 2**40, (7,), device=d),
    "whole": lambda d: dt.zeros(5, dtype=dt.int64, device=d).random_(-(2**63), None),
    "randperm": lambda d: dt.randperm(40, device=d),
    "uniform_": lambda d: dt.zeros(3, 4, device=d).t().uniform_(-1, 3),
    "exponential_": lambda d: dt.zeros(9, device=d).exponential_(2),
    "cauchy_": lambda d: dt.zeros(9, device=d).cauchy_(),
    "log_normal_": lambda d: dt.zeros(9, device=d).log_normal_(),
    "geometric_": lambda d: dt.zeros(9, device=d, dtype=dt.int32).geometric_(0.2),
    "bernoulli_": lambda d: dt.zeros(9, device=d).bernoulli_(0.3),
    "half": lambda d: dt.zeros(9, device=d).bernoulli_(0.5),
    "bernoulli": lambda d: dt.bernoulli(dt.full((9,), 0.3, device=d)),
    "normal": lambda d: dt.normal(dt.zeros(3, 1, device=d), dt.ones(4, device=d)),
    "poisson": lambda d: dt.poisson(dt.arange(40.0, device=d)),
    "binomial": lambda d: dt.binomial(dt.arange(90.0, device=d), dt.full((90,), 0.3, device=d)),
    "multinomial": lambda d: dt.multinomial(dt.ones(4, 6, device=d), 3),
    "replaced": lambda d: dt.multinomial(dt.arange(6.0, device=d).expand(3, 6), 9, True),
    "dropout": lambda d: F.dropout(dt.ones(3, 7, device=d), 0.3),
}


@pytest.mark.parametrize("case", ANYWHERE)
def test_one_seed_gives_the_same_numbers_on_every_device(case):
    found = []
    for place in ("cpu", "strict:1"):
        random.manual_seed(3)
        x = ANYWHERE[case](place)
        assert str(x.device) == place
        found.append((array(x).tolist(), random.get_rng_state().tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("how", DRAWS)
def test_an_element_depends_on_its_number_alone(how):
    def call(shape, order=None):
        def draw(generator):
            x = dt.zeros(shape)
            if order is not None:
                x = x.permute(order)
            method = getattr(x, how + "_")
            return method(*([0.5] if how == "geometric" else []), generator=generator)

        return again(draw).ravel()

    line = call(60)
    assert (call((3, 4, 5)) == line).all()
    assert (call((5, 4, 3), (2, 1, 0)) == line).all()
    assert (call(7) == line[:7]).all()
    assert len(set(line)) > 1


# ---- the generator


def test_seeds_and_states():
    g = random.Generator()
    assert g.initial_seed() == torch.Generator().initial_seed()
    assert str(g.device) == "cpu"
    assert g.manual_seed(-3) is g
    assert g.initial_seed() == 2**64 - 3
    assert g.get_offset() == 0
    first = dt.rand(5, generator=g).tolist()
    state = g.get_state()
    assert state.dtype is dt.uint8
    assert state.ndim == 1
    second = dt.randn(5, generator=g).tolist()
    assert g.set_state(state) is g
    assert dt.randn(5, generator=g).tolist() == second
    other = g.clone_state()
    assert dt.rand(3, generator=g).tolist() == dt.rand(3, generator=other).tolist()
    for twin in (copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
        assert twin.get_state().tolist() == g.get_state().tolist()
        assert dt.rand(3, generator=twin).tolist() != first[:3]
    g.manual_seed(-3)
    assert dt.rand(5, generator=g).tolist() == first
    g.set_offset(0)
    assert dt.rand(5, generator=g).tolist() == first
    assert g.seed() == g.initial_seed()
    assert dt.rand(5, generator=g).tolist() != first


def test_the_default_generator():
    assert random.manual_seed(4) is random.default_generator
    assert random.initial_seed() == 4
    first = dt.rand(3).tolist()
    state = random.get_rng_state()
    second = dt.rand(3).tolist()
    assert first != second
    random.set_rng_state(state)
    assert dt.rand(3).tolist() == second
    random.manual_seed("4")
    assert dt.rand(3).tolist() == first
    random.manual_seed(4)
    assert dt.rand(3, generator=random.Generator().manual_seed(4)).tolist() == first
    assert random.seed() == random.initial_seed() != 4


def test_a_fork_leaves_no_trace():
    before = random.get_rng_state().tolist()
    with random.fork_rng():
        dt.rand(100)
        random.manual_seed(1)
    assert random.get_rng_state().tolist() == before
    with pytest.raises(KeyError), random.fork_rng():
        dt.rand(100)
        raise KeyError
    assert random.get_rng_state().tolist() == before
    with random.fork_rng(enabled=False):
        dt.rand(100)
    assert random.get_rng_state().tolist() != before


def test_threads_share_a_generator_without_drawing_twice():
    g = random.Generator().manual_seed(8)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tuple(dt.rand(4, generator=g).tolist()), range(400)))
    g.manual_seed(8)
    assert set(found) == {tuple(dt.rand(4, generator=g).tolist()) for _ in range(400)}
    assert g.get_offset() == 400


def test_what_generators_refuse():
    def both(call, phrase=None):
        refused(lambda m: call(random if m is dt else torch, m), phrase=phrase)

    both(lambda r, m: r.Generator().manual_seed(3.5))
    both(lambda r, m: r.Generator().manual_seed(True))
    both(lambda r, m: r.Generator().manual_seed(2**64), "Overflow when unpacking long long")
    both(lambda r, m: r.manual_seed(-(2**63) - 1), "Overflow when unpacking long long")
    both(lambda r, m: r.manual_seed("a"))
    both(lambda r, m: r.Generator().set_state(5))
    both(lambda r, m: r.Generator().set_state(m.zeros(3)), "RNG state must be a torch.ByteTensor")
    both(
        lambda r, m: r.set_rng_state(m.zeros(3, dtype=m.uint8)),
        "but found the input RNG state size to be 3",
    )
    with pytest.raises(TypeError, match="must be Generator, not int"):
        dt.rand(3, generator=5)
    with pytest.raises(RuntimeError, match="between 0 and 2"):
        random.Generator().set_offset(-1)


# ---- what PyTorch gives: shapes, types, and what it refuses


def ones(m, dtype="float32", *shape):
    return m.ones(shape or (3,), dtype=getattr(m, dtype))


LOOKS = {
    "rand": lambda m: (
        m.rand(3),
        m.rand(2, 3),
        m.rand((2, 0)),
        m.rand(size=(2,)),
        m.rand(()),
        m.rand(2, dtype=m.float16),
        m.rand(2, dtype=m.complex64),
        m.rand(2, out=ones(m, "float64", 2)),
        m.rand_like(ones(m, "float64")),
        m.rand_like(ones(m, "int64"), dtype=m.float32),
        m.rand(2, requires_grad=True),
    ),
    "randn": lambda m: (
        m.randn(3),
        m.randn([2, 3], dtype=m.float64),
        m.randn_like(ones(m, "complex64")),
        m.randn(2, requires_grad=True),
    ),
    "randint": lambda m: (
        m.randint(5, (2,)),
        m.randint(5, size=(2,)),
        m.randint(high=5, size=(2,)),
        m.randint(3, 5, (2, 0)),
        m.randint(low=0, high=5, size=(2,)),
        m.randint(2, high=5, size=(2,)),
        m.randint(m.tensor(2), m.tensor(5), (2,)),
        m.randint(5, (2,), dtype=m.float32, requires_grad=True),
        m.randint(2, (2,), dtype=m.bool),
        m.randint(5, (3,), out=ones(m, "uint8")),
        m.randint_like(ones(m), 5),
        m.randint_like(ones(m, "int32"), 2, 5),
        m.randint_like(ones(m), low=2, high=5, dtype=m.int8),
    ),
    "randperm": lambda m: (
        m.randperm(5),
        m.randperm(0),
        m.randperm(3, dtype=m.int32),
        m.randperm(3, dtype=m.float32, requires_grad=True),
        m.randperm(256, dtype=m.uint8),
        m.randperm(3, out=ones(m, "uint8")),
    ),
    "normal": lambda m: (
        m.normal(ones(m), ones(m)),
        m.normal(ones(m), 2.0),
        m.normal(ones(m)),
        m.normal(0.0, ones(m, "float64")),
        m.normal(0, 1, (2, 3)),
        m.normal(0.0, 1.0, size=(2,), dtype=m.float64, requires_grad=True),
        m.normal(ones(m, "float32", 2, 1), ones(m, "float64")),
        m.normal(ones(m), ones(m, "int64")),
        m.normal(ones(m, "complex64"), 1.0),
        m.normal(mean=ones(m), std=ones(m), out=ones(m, "float64")),
        m.normal(ones(m).requires_grad_(), 1.0),
        m.normal(0.0, ones(m).requires_grad_()),
    ),
    "bernoulli": lambda m: (
        m.bernoulli(ones(m)),
        m.bernoulli(ones(m, "int64"), 0.5),
        ones(m).bernoulli(),
        ones(m).bernoulli(0.5),
        m.bernoulli(ones(m), out=ones(m, "float64")),
        m.bernoulli(ones(m).requires_grad_()),
        ones(m, "bool").bernoulli_(0.5),
        ones(m, "int64").bernoulli_(ones(m, "float64")),
        ones(m, "float16").bernoulli_(ones(m, "float32", 1)),
    ),
    "in_place": lambda m: (
        ones(m).uniform_(),
        ones(m, "complex64").uniform_(1, 2),
        ones(m).uniform_(**{"from": 2, "to": 3}),
        ones(m, "float16").normal_(1, 2),
        ones(m).exponential_(0.5),
        ones(m).cauchy_(1, 2),
        ones(m).log_normal_(),
        ones(m, "uint8").geometric_(0.5),
        ones(m, "bool").random_(),
        ones(m, "float16").random_(),
        ones(m, "int64").random_(-(2**63), None),
        ones(m, "int64").random_(5),
        ones(m, "uint8").random_(0, 256),
        ones(m, "bool").random_(0, 2),
    ),
    "multinomial": lambda m: (
        m.multinomial(ones(m), 2),
        m.multinomial(ones(m, "float16"), 5, True),
        m.multinomial(ones(m, "float64", 2, 3), 2, replacement=False),
        ones(m, "float32", 0, 3).multinomial(2),
        m.multinomial(ones(m).requires_grad_(), 1),
        m.multinomial(ones(m), 1, out=ones(m, "int64", 1)),
    ),
    "counts": lambda m: (
        m.poisson(ones(m)),
        m.poisson(ones(m, "float16")),
        m.poisson(ones(m, "float64", 0)),
        m.poisson(ones(m).requires_grad_()),
        m.binomial(ones(m, "float32", 2, 3), ones(m, "float32", 2, 1)),
        m.binomial(ones(m, "float64"), ones(m, "float64")),
    ),
    "dropout": lambda m: (
        m.nn.functional.dropout(ones(m)),
        m.nn.functional.dropout(ones(m, "float16"), 0.5),
        m.nn.functional.dropout(ones(m, "int64"), 1.0),
        m.nn.functional.dropout(ones(m, "float32", 0), 0.5),
        m.nn.functional.dropout(ones(m).requires_grad_()),
        m.dropout(ones(m), 0.5, train=True),
        m.feature_dropout(ones(m, "float32", 2, 3, 4), 0.5, True),
        m.nn.functional.alpha_dropout(ones(m).requires_grad_(), 0.5, True),
        m.nn.functional.feature_alpha_dropout(ones(m, "float64", 2, 3), 0.5, True),
        m.nn.functional.dropout1d(ones(m, "float32", 2, 3)),
        m.nn.functional.dropout3d(ones(m, "float32", 2, 3, 4, 1)),
    ),
}


def look(x):
    node = x.grad_fn and x.grad_fn.name().rstrip("0123456789")
    return name(x.dtype), tuple(x.shape), x.requires_grad, node


@pytest.mark.parametrize("case", LOOKS)
def test_looks_as_in_torch(case):
    for ours, theirs in zip(LOOKS[case](dt), LOOKS[case](torch), strict=True):
        assert look(ours) == look(theirs)


REFUSED = {
    "rand_int": (lambda m: m.rand(3, dtype=m.int64), None),
    "rand_like_int": (lambda m: m.rand_like(ones(m, "int64")), None),
    "rand_negative": (lambda m: m.rand(-1), "negative dimension -1: [-1]"),
    "rand_float": (lambda m: m.rand(2.0), "must be tuple of ints, not float"),
    "rand_no_size": (lambda m: m.rand(), "rand() "),
    "rand_out": (lambda m: m.rand(3, dtype=m.float32, out=ones(m, "float64")), "does not match"),
    "randn_bool": (lambda m: m.randn(3, dtype=m.bool), None),
    "uniform_order": (lambda m: ones(m).uniform_(1, 0), None),
    "uniform_bound": (lambda m: ones(m).uniform_(0, 1e39), None),
    "uniform_nan": (lambda m: ones(m).uniform_(math.nan, 1), None),
    "uniform_half": (lambda m: ones(m, "float16").uniform_(0, 1e6), None),
    "uniform_span": (lambda m: ones(m).uniform_(-3e38, 3e38), None),
    "uniform_int": (lambda m: ones(m, "int64").uniform_(), None),
    "uniform_word": (lambda m: ones(m).uniform_(b=3), None),
    "normal_std": (lambda m: ones(m).normal_(0, -1), None),
    "normal_nan": (lambda m: ones(m).normal_(0, math.nan), None),
    "normal_int": (lambda m: ones(m, "int64").normal_(), None),
    "normal_tensor": (lambda m: m.normal(ones(m), -ones(m)), None),
    "normal_shapes": (lambda m: m.normal(ones(m), ones(m, "float32", 2)), None),
    "normal_size": (lambda m: m.normal(0.0, 1.0), "normal() "),
    "normal_mean": (lambda m: m.normal(ones(m, "int64"), 1.0), None),
    "exponential": (lambda m: ones(m).exponential_(0), None),
    "exponential_int": (lambda m: ones(m, "int64").exponential_(), None),
    "geometric": (lambda m: ones(m).geometric_(1), None),
    "geometric_bool": (lambda m: ones(m, "bool").geometric_(0.5), None),
    "cauchy": (lambda m: ones(m).cauchy_(0, -0.5), None),
    "cauchy_int": (lambda m: ones(m, "int64").cauchy_(), "dtype must be a floating point"),
    "log_normal": (lambda m: ones(m).log_normal_(0, 0), None),
    "log_normal_int": (lambda m: ones(m, "int64").log_normal_(), None),
    "bernoulli_p": (lambda m: ones(m).bernoulli_(2), None),
    "bernoulli_nan": (lambda m: m.bernoulli(ones(m), math.nan), None),
    "bernoulli_complex": (lambda m: ones(m, "complex64").bernoulli_(), None),
    "bernoulli_of": (
        lambda m: m.bernoulli(ones(m) * 1.5),
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false",
    ),
    "bernoulli_by": (lambda m: ones(m).bernoulli_(-ones(m)), "Expected p_in >= 0"),
    "bernoulli_int": (lambda m: m.bernoulli(ones(m, "int64")), None),
    "bernoulli_shape": (
        lambda m: ones(m).bernoulli_(ones(m, "float32", 2)),
        "The expanded size of the tensor (3) must match the existing size (2)",
    ),
    "random_empty": (lambda m: ones(m).random_(2, 2), None),
    "random_to": (lambda m: ones(m, "int64").random_(-5), None),
    "random_byte": (lambda m: ones(m, "uint8").random_(300), None),
    "random_from": (lambda m: ones(m, "uint8").random_(-1, 3), None),
    "random_bool": (lambda m: ones(m, "bool").random_(0, 3), None),
    "random_half": (lambda m: ones(m, "float16").random_(0, 70000), None),
    "random_far": (lambda m: ones(m, "int64").random_(0, 2**63), "Overflow when unpacking"),
    "random_complex": (lambda m: ones(m, "complex64").random_(), None),
    "random_float": (lambda m: ones(m, "int64").random_(2.5), "random_()"),
    "random_twice": (lambda m: ones(m).random_(1, 2, to=3), "multiple values for argument 'to'"),
    "random_again": (
        lambda m: ones(m).random_(5, **{"from": 3, "to": 9}),
        "multiple values for argument 'from'",
    ),
    "random_three": (lambda m: ones(m).random_(1, 2, 3), "takes 2 positional arguments but 3"),
    "random_alone": (lambda m: ones(m).random_(**{"from": 3}), "random_()"),
    "random_swapped": (lambda m: ones(m).random_(3, **{"from": 1}), "random_()"),
    "random_none": (lambda m: ones(m).random_(None), "random_()"),
    "randint_empty": (lambda m: m.randint(5, 3, (0,)), None),
    "randint_size": (lambda m: m.randint(0, 5), None),
    "randint_high": (lambda m: m.randint(5.5, (2,)), None),
    "randint_type": (lambda m: m.randint(300, (2,), dtype=m.uint8), None),
    "randint_none": (lambda m: m.randint(), "randint() "),
    "randint_grad": (lambda m: m.randint(5, (2,), requires_grad=True), "can require gradients"),
    "randperm_negative": (lambda m: m.randperm(-1), "negative dimension -1: [-1]"),
    "randperm_float": (lambda m: m.randperm(3.5), None),
    "randperm_bool": (lambda m: m.randperm(3, dtype=m.bool), None),
    "randperm_byte": (lambda m: m.randperm(300, dtype=m.uint8), None),
    "randperm_half": (lambda m: m.randperm(3000, dtype=m.float16), None),
    "multinomial_many": (lambda m: m.multinomial(ones(m), 4), "cannot sample n_sample > prob_dist"),
    "multinomial_none": (lambda m: m.multinomial(ones(m), 0), "cannot sample n_sample <= 0"),
    "multinomial_zero": (lambda m: m.multinomial(ones(m) * 0, 1), None),
    "multinomial_zeros": (lambda m: m.multinomial(ones(m) * 0, 2, True), None),
    "multinomial_negative": (lambda m: m.multinomial(-ones(m), 2), None),
    "multinomial_nan": (lambda m: m.multinomial(ones(m) * math.nan, 2), None),
    "multinomial_inf": (lambda m: m.multinomial(ones(m) * math.inf, 2), None),
    "multinomial_less": (
        lambda m: m.multinomial(-ones(m), 2, True),
        "invalid multinomial distribution (encountering probability entry < 0",
    ),
    "multinomial_dims": (lambda m: m.multinomial(m.ones(2, 2, 2), 1), "must be 1 or 2 dim"),
    "multinomial_int": (lambda m: m.multinomial(ones(m, "int64"), 1), None),
    "multinomial_out": (lambda m: m.multinomial(ones(m), 1, out=ones(m)), None),
    "poisson": (lambda m: m.poisson(-ones(m)), None),
    "poisson_int": (lambda m: m.poisson(ones(m, "int64")), None),
    "binomial_number": (lambda m: m.binomial(ones(m), 0.5), None),
    "binomial_int": (lambda m: m.binomial(ones(m, "int64"), ones(m)), None),
    "binomial_types": (lambda m: m.binomial(ones(m), ones(m, "float64")), None),
    "dropout": (lambda m: m.nn.functional.dropout(ones(m), 1.5), None),
    "dropout_eval": (lambda m: m.nn.functional.dropout(ones(m), -0.5, False), None),
    "dropout_int": (lambda m: m.nn.functional.dropout(ones(m, "int64")), "can't be cast to the"),
    "dropout_complex": (lambda m: m.nn.functional.dropout(ones(m, "complex64")), None),
    "dropout1d": (
        lambda m: m.nn.functional.dropout1d(ones(m), 0.5, False),
        "dropout1d: Expected 2D or 3D input, but received a 1D input",
    ),
    "feature": (
        lambda m: m.feature_dropout(ones(m), 0.5, True),
        "Feature dropout requires at least 2 dimensions in the input",
    ),
    "feature_alpha": (
        lambda m: m.nn.functional.feature_alpha_dropout(ones(m), 0.5, True),
        "Feature dropout requires at least 2 dimensions in the input",
    ),
    "leaf": (
        lambda m: ones(m).requires_grad_().uniform_(),
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
    "view_of_leaf": (
        lambda m: ones(m).requires_grad_()[:1].normal_(),
        "a view of a leaf Variable that requires grad is being used in an in-place operation",
    ),
    "leaf_by_tensor": (
        lambda m: ones(m).requires_grad_().bernoulli_(ones(m)),
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
    "leaf_dropout": (
        lambda m: m.nn.functional.dropout(ones(m).requires_grad_(), inplace=True),
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
    "expanded": (
        lambda m: ones(m).expand(2, 3).exponential_(),
        "more than one element of the written-to tensor refers to a single memory location",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_as_in_torch_before_anything_is_drawn(case):
    call, phrase = REFUSED[case]
    refused(call, phrase=phrase)
    if case != "leaf_dropout":  # its mask was drawn
        assert random.default_generator.get_offset() == 0


def test_integers_that_a_float_cannot_tell_apart_are_warned_of():
    for module in (dt, torch):
        with pytest.warns(UserWarning, match="to - 1 is out of bounds"):
            ones(module).random_(0, 2**30)
        with pytest.warns(UserWarning, match="from is out of bounds"):
            module.randint(-5000, 2, (3,), dtype=module.float16)


# ---- distributions


SIZE = 200_000
LIKELY = 1e-3
"""With fixed seeds nothing is left to chance; a wrong distribution gives far less than this."""


def spread(x, distribution):
    assert stats.kstest(array(x).astype(float), distribution.cdf).pvalue > LIKELY


def counted(x, distribution):
    """Assert that integers are distributed as they should be."""
    x = array(x).astype(float)
    assert (x == np.round(x)).all()
    low, high = int(x.min()), int(x.max())
    places = np.arange(low, high + 1)
    expected = distribution.pmf(places) * x.size
    observed = np.bincount((x - low).astype(int), minlength=len(places))
    common_ = expected > 10
    rest = x.size - expected[common_].sum()
    expected = np.append(expected[common_], rest)
    observed = np.append(observed[common_], x.size - observed[common_].sum())
    if rest < 5:
        expected, observed = expected[:-1], observed[:-1]
        expected = expected * observed.sum() / expected.sum()
    assert stats.chisquare(observed, expected).pvalue > LIKELY


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_continuous_distributions(dtype):
    x = dt.zeros(SIZE, dtype=getattr(dt, dtype))
    spread(dt.rand(SIZE, dtype=x.dtype), stats.uniform())
    spread(x.uniform_(-1, 3), stats.uniform(-1, 4))
    spread(dt.randn(SIZE, dtype=x.dtype), stats.norm())
    spread(x.normal_(1, 2), stats.norm(1, 2))
    spread(x.exponential_(2), stats.expon(scale=0.5))
    spread(x.cauchy_(1, 2), stats.cauchy(1, 2))
    spread(x.log_normal_(0.5, 0.7), stats.lognorm(0.7, scale=math.exp(0.5)))
    means = dt.full((SIZE,), 2.0, dtype=x.dtype)
    spread(dt.normal(means, 3.0), stats.norm(2, 3))
    spread(dt.normal(1.0, means), stats.norm(1, 2))


def test_neighbours_are_independent():
    x = array(dt.randn(SIZE)).reshape(-1, 2)
    assert stats.kstest((x**2).sum(1), stats.chi2(2).cdf).pvalue > LIKELY
    assert stats.kstest(
        np.arctan2(x[:, 1], x[:, 0]), stats.uniform(-np.pi, 2 * np.pi).cdf
    ).pvalue > (LIKELY)
    u = array(dt.rand(SIZE))
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(u[lag:], u[:-lag])[0, 1]) < 4 / math.sqrt(SIZE)
    a, b = array(dt.rand(SIZE)), array(dt.rand(SIZE))
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(SIZE)


def test_uniform_numbers_have_the_digits_of_their_type():
    for dtype, digits in (("float16", 11), ("float32", 24), ("float64", 53)):
        x = array(dt.rand(SIZE, dtype=getattr(dt, dtype)))
        assert 0 <= x.min() < 1e-3
        assert 1 - 2e-3 < x.max() < 1
        assert (x * 2.0**digits == np.floor(x * 2.0**digits)).all()
        assert (x * 2.0 ** (digits - 1) != np.floor(x * 2.0 ** (digits - 1))).any()


def test_extreme_words_give_finite_numbers():
    class Fixed(common.Bits):
        def words(self, count, stream=0):
            return np.full(count, self.seed, np.uint32)

    for word in (0, 2**32 - 1):
        bits = Fixed(SPACE, word, 0)
        for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
            for how, values in DRAWS.items():
                x = common.DISTRIBUTIONS[how].sample(bits, 4, dtype, *values)
                assert np.isfinite(x).all(), how
                if how == "exponential":
                    assert (x > 0).all()
                if how == "geometric":
                    assert (x >= 1).all()
                if how == "uniform":
                    assert (x >= 0).all()
                    assert (x < 1).all()


def test_complex_numbers_have_the_variance_of_real_ones():
    x = array(dt.randn(SIZE, dtype=dt.complex64))
    for part in (x.real, x.imag):
        assert stats.kstest(part, stats.norm(0, math.sqrt(0.5)).cdf).pvalue > LIKELY
    assert abs(np.corrcoef(x.real, x.imag)[0, 1]) < 4 / math.sqrt(SIZE)
    x = array(dt.rand(SIZE, dtype=dt.complex128))
    for part in (x.real, x.imag):
        assert stats.kstest(part, stats.uniform().cdf).pvalue > LIKELY


def test_integers():
    counted(dt.randint(0, 7, (SIZE,)), stats.randint(0, 7))
    counted(dt.randint(-3, 250, (SIZE,), dtype=dt.int16), stats.randint(-3, 250))
    counted(dt.zeros(SIZE, dtype=dt.uint8).random_(), stats.randint(0, 256))
    counted(dt.zeros(SIZE, dtype=dt.int8).random_(-128, None), stats.randint(-128, 128))
    counted(dt.zeros(SIZE, dtype=dt.bool).random_().int(), stats.randint(0, 2))
    counted(dt.zeros(SIZE, dtype=dt.float16).random_(), stats.randint(0, 2**11 + 1))
    for low, high in ((0, 2**24), (-7, 2**24), (0, 2**24 + 5), (-5, 2**40), (-(2**62), 2**62)):
        x = array(dt.randint(low, high, (SIZE,)))
        assert low <= x.min()
        assert x.max() < high
        assert stats.kstest((x - low + 0.5) / (high - low), stats.uniform().cdf).pvalue > LIKELY
    x = array(dt.zeros(SIZE, dtype=dt.int64).random_(-(2**63), None))
    assert stats.kstest((x / 2.0**64) + 0.5, stats.uniform().cdf).pvalue > LIKELY
    assert (x % 2 == 0).any()
    assert (x % 2 == 1).any()


def test_geometric_and_bernoulli():
    counted(dt.zeros(SIZE).geometric_(0.2), stats.geom(0.2))
    counted(dt.zeros(SIZE, dtype=dt.int64).geometric_(0.7), stats.geom(0.7))
    assert array(dt.zeros(SIZE, dtype=dt.int8).geometric_(0.001)).max() == 127
    for p in (0.0, 0.01, 0.3, 0.5, 1 / 512, 0.999, 1.0):
        for x in (
            dt.zeros(SIZE).bernoulli_(p),
            dt.bernoulli(dt.full((SIZE,), p)),
            dt.zeros(SIZE, dtype=dt.int64).bernoulli_(dt.full((), p, dtype=dt.float64)),
        ):
            total = int(array(x).sum())
            if p in (0, 1):
                assert total == p * SIZE
            else:
                assert stats.binomtest(total, SIZE, p).pvalue > LIKELY
    p = dt.linspace(0, 1, 5, dtype=dt.float64).repeat(SIZE // 5)
    share = array(dt.bernoulli(p)).reshape(-1, 5).mean(0)
    np.testing.assert_allclose(share, [0, 0.25, 0.5, 0.75, 1], atol=0.012)
    assert share[0] == 0
    assert share[4] == 1


@pytest.mark.parametrize("rate", [0.01, 0.5, 3, 9.9, 10.1, 40, 1000])
def test_poisson(rate):
    x = dt.poisson(dt.full((SIZE,), rate, dtype=dt.float64))
    counted(x, stats.poisson(rate))


@pytest.mark.parametrize(
    ("trials", "p"), [(1, 0.3), (5, 0.5), (20, 0.9), (30, 0.4), (100, 0.02), (1000, 0.7)]
)
def test_binomial(trials, p):
    n = dt.full((SIZE,), float(trials), dtype=dt.float64)
    counted(dt.binomial(n, dt.full((SIZE,), p, dtype=dt.float64)), stats.binom(trials, p))


def test_counts_at_the_edges():
    rates = dt.tensor([0.0, 1e-30, 2.0, 50.0, math.inf])
    x = array(dt.poisson(rates))
    assert x[:2].tolist() == [0, 0]
    assert x[4] == math.inf
    trials = dt.tensor([10.0, 10.0, 0.0, -3.0, math.nan, 10.0, 200.0])
    p = dt.tensor([0.0, 1.0, 0.5, 0.5, 0.5, math.nan, 2.0])
    x = array(dt.binomial(trials, p))
    assert x[:4].tolist() == [0, 10, 0, 0]
    assert np.isnan(x[4:6]).all()
    assert x[6] == 200
    mixed = array(dt.poisson(dt.tensor([2.0, 50.0], dtype=dt.float64).repeat(SIZE)))
    assert stats.ttest_1samp(mixed[0::2], 2).pvalue > LIKELY
    assert stats.ttest_1samp(mixed[1::2], 50).pvalue > LIKELY


# ---- permutations and choices


def test_permutations():
    assert sorted(dt.randperm(5000).tolist()) == list(range(5000))
    seen = [tuple(dt.randperm(4).tolist()) for _ in range(6000)]
    counts = [seen.count(x) for x in set(seen)]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > LIKELY


@pytest.mark.parametrize("mask", [2**64 - 1, 0xF, 0xFF00000000, 0xFFF << 50, 0])
def test_equal_keys_keep_their_order(mask, monkeypatch):
    true = quick.numbers_of
    monkeypatch.setattr(permutation, "numbers_of", lambda *args: true(*args) & np.uint64(mask))
    for n in (0, 1, 2, 50, 1000, 3000, 140_000):  # each way to sort, and to merge
        keys = permutation.numbers_of(3, 7, 0, n)
        order = permutation.permutation(SPACE, n, 3, 7, np.dtype(np.int64))
        assert order.tolist() == np.argsort(keys, stable=True).tolist()


def test_multinomial():
    weights = np.array([1.0, 2, 0, 3, 4])
    p = weights / weights.sum()
    x = array(dt.multinomial(dt.tensor(weights.tolist()), SIZE, True))
    observed = np.bincount(x, minlength=5)
    assert observed[2] == 0
    assert stats.chisquare(observed[p > 0], p[p > 0] * SIZE).pvalue > LIKELY
    pairs = array(dt.multinomial(dt.tensor(weights.tolist()).repeat(20_000, 1), 2))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    expected = np.outer(p, p) / (1 - p)[:, None] * (1 - np.eye(5)) * 20_000
    observed = np.zeros((5, 5))
    np.add.at(observed, (pairs[:, 0], pairs[:, 1]), 1)
    possible = expected > 0
    assert stats.chisquare(observed[possible], expected[possible]).pvalue > LIKELY
    assert observed[~possible].sum() == 0


def test_multinomial_of_rows_and_of_few():
    rows = dt.eye(50)[:, :30].clone()
    rows[30:, 4] = 1
    wanted = [min(i, 4) if i >= 30 else i for i in range(50)]
    for replacement in (True, False):
        assert dt.multinomial(rows, 1, replacement).squeeze(1).tolist() == wanted
    # where fewer have weight than are wanted, the others follow
    assert sorted(dt.multinomial(dt.tensor([0.0, 1.0, 0.0]), 3).tolist()) == [0, 1, 2]
    assert dt.multinomial(dt.tensor([0.0, 1.0, 0.0]), 3)[0] == 1
    last = dt.tensor([1.0] * 7 + [0.0] * 5)
    assert array(dt.multinomial(last, SIZE, True)).max() == 6


# ---- writing in place


FILLS = {
    "uniform_": lambda x: x.uniform_(),
    "normal_": lambda x: x.normal_(),
    "exponential_": lambda x: x.exponential_(),
    "cauchy_": lambda x: x.cauchy_(),
    "log_normal_": lambda x: x.log_normal_(),
    "geometric_": lambda x: x.geometric_(0.5),
    "random_": lambda x: x.random_(),
    "bernoulli_": lambda x: x.bernoulli_(),
    "by_tensor": lambda x: x.bernoulli_(dt.full((), 0.5)),
}


@pytest.mark.parametrize("case", FILLS)
def test_filling_counts_as_writing(case):
    x = dt.ones(2, 3, requires_grad=True)
    y = x * 2
    z = y.exp()
    assert FILLS[case](y) is y
    assert y._version == 1
    (y.sum() + z.sum()).backward()
    np.testing.assert_allclose(array(x.grad), np.full((2, 3), 2 * math.exp(2)), rtol=1e-6)
    with dt.no_grad():
        assert FILLS[case](x) is x
    assert x.is_leaf
    assert x.requires_grad
    assert x._version == 1


def test_filling_a_view_writes_nothing_else():
    x = dt.full((4, 6), -1.0)
    x[1:3, ::2].uniform_()
    written = array(x) != -1
    assert written[1:3, ::2].all()
    assert written.sum() == 6
    assert x._version == 1


def test_gradients_of_draws_are_zero():
    mean, std = dt.zeros(2, 1, requires_grad=True), dt.ones(3, requires_grad=True)
    dt.normal(mean, std).sum().backward()
    assert array(mean.grad).tolist() == [[0], [0]]
    assert array(std.grad).tolist() == [0, 0, 0]
    p = dt.full((3,), 0.5, requires_grad=True)
    (dt.bernoulli(p) + dt.poisson(p)).sum().backward()
    assert array(p.grad).tolist() == [0, 0, 0]


# ---- leaving out


def test_dropout_multiplies_by_what_it_keeps():
    for p in (0.1, 0.5):
        x = dt.ones(300, 200, requires_grad=True)
        y = F.dropout(x, p)
        values = array(y)
        assert set(np.unique(values).tolist()) == {0, np.float32(1 / (1 - p)).item()}
        assert stats.binomtest(int((values == 0).sum()), values.size, p).pvalue > LIKELY
        y.sum().backward()
        assert (array(x.grad) == values).all()
    x = dt.ones(50, requires_grad=True)
    (g,) = dt.autograd.grad(F.dropout(x).exp().sum(), x, create_graph=True)
    g.sum().backward()
    kept = array(g) != 0
    np.testing.assert_allclose(array(x.grad), kept * 4 * math.exp(2), rtol=1e-5)


def test_dropout_saves_one_byte_an_element():
    sizes = []

    def pack(x):
        sizes.append(x.numel() * x.element_size())
        return x

    x = dt.ones(32, 64, requires_grad=True)
    with dt.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        F.dropout(x * 1, 0.5)
        assert sum(sizes) == 32 * 64
        F.alpha_dropout(x * 1, 0.5, True)
        assert sum(sizes) == 2 * 32 * 64
        F.dropout2d((x * 1).reshape(2, 4, 16, 16), 0.5)
        assert sum(sizes) == 2 * 32 * 64 + 2 * 4


@pytest.mark.parametrize(
    "function", ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
                 "feature_alpha_dropout"]
)  # fmt: skip
def test_dropout_that_leaves_nothing_out_is_the_input(function):
    call = getattr(F, function)
    x = dt.ones({"dropout1d": (2, 3, 4), "dropout3d": (1, 1, 1, 2, 3)}.get(function, (2, 3, 4, 5)))
    x.requires_grad_()
    assert call(x, 0.5, False) is x
    assert call(x, 0.0, True) is x
    assert call(x, 0.5, False, True) is x  # in place, though it is a leaf
    assert x._version == 0
    empty = x.detach()[:0]
    assert call(empty, 0.5, True) is empty
    assert random.default_generator.get_offset() == 0
    y = x.detach().clone()
    y[..., 0], y[..., 1] = math.nan, math.inf
    zero = array(call(y, 1.0, True))
    assert np.isnan(zero[..., :2]).all()  # as zero times them
    assert (zero[..., 2:] == 0).all()
    assert call(y, 1.0, True, inplace=True) is y
    assert (array(y)[..., 2:] == 0).all()


def test_dropout_keeps_what_is_no_number():
    x = array(F.dropout(dt.full((1000,), math.nan)))
    assert np.isnan(x).all()


def test_dropout_makes_zeros_of_what_is_too_large_to_scale():
    x = array(F.dropout(dt.full((1000,), 60_000.0, dtype=dt.float16)))
    assert set(x.tolist()) == {0, math.inf}


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        ("dropout1d", (40, 30, 5)),
        ("dropout1d", (300, 5)),
        ("dropout2d", (40, 30, 2, 3)),
        ("dropout3d", (40, 30, 2, 3, 2)),
        ("dropout3d", (300, 2, 3, 2)),
        ("feature_alpha_dropout", (40, 30, 2, 3)),
    ],
)
def test_channels_are_left_out_as_a_whole(function, shape):
    single = {"dropout1d": 2, "dropout3d": 4}.get(function)
    channels = 1 if len(shape) == single else 2
    x = dt.ones(*shape)
    values = array(getattr(F, function)(x, 0.3, True))
    flat = values.reshape(math.prod(shape[:channels]), -1)
    assert (flat == flat[:, :1]).all()
    assert len(np.unique(flat)) == 2
    assert stats.binomtest(int((flat[:, 0] == flat.min()).sum()), len(flat), 0.3).pvalue > LIKELY


def test_alpha_dropout_keeps_mean_and_variance():
    for p in (0.1, 0.5, 0.8):
        x = dt.randn(SIZE)
        y = array(F.alpha_dropout(x, p, True))
        assert abs(y.mean()) < 0.02
        assert abs(y.var() - 1) < 0.03
        values = array(F.alpha_dropout(dt.zeros(SIZE), p, True))
        theirs = torch.nn.functional.alpha_dropout(torch.zeros(SIZE), p, True)
        np.testing.assert_allclose(np.unique(values), torch.unique(theirs).numpy(), rtol=1e-5)


def test_dropout_in_place():
    for function in ("dropout", "alpha_dropout"):
        random.manual_seed(6)
        out_of_place = array(getattr(F, function)(dt.ones(60), 0.4, True))
        random.manual_seed(6)
        x = dt.ones(60, requires_grad=True)
        y = x * 1
        assert getattr(F, function)(y, 0.4, True, inplace=True) is y
        assert (array(y) == out_of_place).all()
        y.sum().backward()
        slopes = set(array(x.grad).tolist())
        assert len(slopes) == 2
        assert 0 in slopes
    x = dt.ones(30, 4)
    assert F.dropout1d(x, 0.5, True, inplace=True) is x
    assert len(np.unique(array(x))) == 2


def test_dropout_of_doubtful_shapes_warns():
    for module in (dt, torch):
        call = module.nn.functional
        with pytest.warns(UserWarning, match="Received a 2-D input to dropout2d"):
            call.dropout2d(module.ones(2, 3))
        with pytest.warns(UserWarning, match="Received a 3D input to dropout2d"):
            call.dropout2d(module.ones(2, 3, 4))
        with pytest.warns(UserWarning, match="Received a 3-D input to dropout3d"):
            call.dropout3d(module.ones(2, 3, 4))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call.dropout2d(module.ones(2, 3, 4, 5))
            call.dropout3d(module.ones(2, 3, 4, 5))
