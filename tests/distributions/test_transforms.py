"""Transforms and constraints beside PyTorch, and Jacobians beside those of autograd."""

import pickle

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import distributions as D
from families import agree, every, outcome, side, to_numpy

# What makes a transform in either library, and an argument.
TRANSFORMS = {
    "abs": (lambda d, a: d.AbsTransform(), [0.5, -2.0]),
    "affine": (lambda d, a: d.AffineTransform(a([1.0, -1.0]), a([2.0, -0.5])), [0.5, -2.0]),
    "affine of numbers": (lambda d, a: d.AffineTransform(1.0, -2.0), [0.5, -2.0]),
    "affine of vectors": (lambda d, a: d.AffineTransform(a([1.0, 2.0]), 3.0, event_dim=1),
                          [[0.5, -2.0]]),
    "cat": (lambda d, a: d.CatTransform([d.ExpTransform(), d.TanhTransform()], 0, [1, 2]),
            [0.5, -2.0, 1.0]),
    "cat of vectors": (lambda d, a: d.CatTransform(
        [d.AffineTransform(0.0, 2.0, event_dim=1), d.ExpTransform()], -2, [1, 2]),
        [[0.5, -2.0], [1.0, 2.0], [0.1, 0.2]]),
    "compose": (lambda d, a: d.ComposeTransform(
        [d.AffineTransform(0.5, 2.0), d.ExpTransform(), d.PowerTransform(a(0.5))]), [0.5, -2.0]),
    "compose to shares": (lambda d, a: d.ComposeTransform(
        [d.AffineTransform(0.5, 2.0), d.StickBreakingTransform()]), [[0.5, -2.0], [1.0, 0.3]]),
    "correlations": (lambda d, a: d.CorrCholeskyTransform(), [[0.5, -2.0, 0.3]]),
    "cumulative": (lambda d, a: d.CumulativeDistributionTransform(d.Normal(a(0.5), a(2.0))),
                   [0.5, -2.0]),
    "exp": (lambda d, a: d.ExpTransform(), [0.5, -2.0]),
    "identity": (lambda d, a: d.identity_transform, [0.5, -2.0]),
    "independent": (lambda d, a: d.IndependentTransform(d.ExpTransform(), 1), [[0.5, -2.0]]),
    "inverse": (lambda d, a: d.SigmoidTransform().inv, [0.5, 0.2]),
    "lower Cholesky": (lambda d, a: d.LowerCholeskyTransform(), [[0.5, -2.0], [1.0, 0.2]]),
    "positive definite": (lambda d, a: d.PositiveDefiniteTransform(), [[0.5, -2.0], [1.0, 0.2]]),
    "power": (lambda d, a: d.PowerTransform(a([2.0, -0.5])), [0.5, 2.0]),
    "reshape": (lambda d, a: d.ReshapeTransform((2, 2), (4,)), [[[0.5, -2.0], [1.0, 0.2]]]),
    "sigmoid": (lambda d, a: d.SigmoidTransform(), [0.5, -2.0, 50.0]),
    "softmax": (lambda d, a: d.SoftmaxTransform(), [[0.5, -2.0], [1.0, 0.2]]),
    "softplus": (lambda d, a: d.SoftplusTransform(), [0.5, -2.0, 30.0]),
    "stack": (lambda d, a: d.StackTransform([d.ExpTransform(), d.TanhTransform()], -1),
              [[0.5, -2.0], [1.0, 0.2]]),
    "stick": (lambda d, a: d.StickBreakingTransform(), [[0.5, -2.0], [1.0, 0.2]]),
    "tanh": (lambda d, a: d.TanhTransform(), [0.5, -2.0]),
}  # fmt: skip
each = pytest.mark.parametrize("name", TRANSFORMS)


def built(name, where, cache=0):
    """A transform and its argument."""
    library, d = side(where)

    def array(x):
        made = library.tensor(x, dtype=library.float64)
        return made if where == "torch" else made.to(where)

    make, argument = TRANSFORMS[name]
    transform = make(d, array)
    return (transform.with_cache() if cache else transform), array(argument)


@each
def test_transforms(name, device):
    found, expected = [], []
    for where, results in ((device, found), ("torch", expected)):
        t, x = built(name, where)
        y = t(x)
        results += [
            outcome(lambda y=y: y),
            outcome(lambda t=t, y=y: t.inv(y)),
            outcome(lambda t=t, x=x, y=y: t.log_abs_det_jacobian(x, y)),
        ]
        flags = ("bijective", "domain", "codomain", "event_dim", "sign")
        for flag in flags:
            try:
                results.append(getattr(t, flag))
            except (NotImplementedError, ValueError) as error:
                results.append(type(error))
        results += [tuple(t.forward_shape(x.shape)), tuple(t.inverse_shape(y.shape)), repr(t)]
    for one, two in zip(found, expected, strict=True):
        if isinstance(two, np.ndarray):
            agree(one, two)
        elif isinstance(two, torch.Tensor):
            np.testing.assert_array_equal(to_numpy(one), to_numpy(two))
        elif isinstance(two, type | str | int | bool | tuple):
            assert one == two
        else:
            assert repr(one) == repr(two)
            assert one.event_dim == two.event_dim


@each
def test_the_inverse_inverts_and_the_image_is_the_codomain(name):
    t, x = built(name, "cpu")
    y = t(x)
    if name != "cat of vectors":  # what is checked has less dimensions than its parts
        assert t.codomain.check(y).all()
        assert t.domain.check(x).all()
    if t.bijective and name not in ("sigmoid",):
        np.testing.assert_allclose(t.inv(y).numpy(), x.numpy(), rtol=1e-9)
    assert t.inv.inv is t
    assert t == t
    assert t.inv == t.inv


@each
def test_the_jacobian_is_that_of_autograd(name):
    t, x = built(name, "cpu")
    scalars = t.bijective and t.domain.event_dim == 0 and t.codomain.event_dim == 0
    if not scalars or name in ("sigmoid", "identity", "cat of vectors"):
        return
    x.requires_grad_()
    (slope,) = dt.autograd.grad(t(x).sum(), x)
    found = t.log_abs_det_jacobian(x, t(x)).detach()
    np.testing.assert_allclose(found.numpy(), slope.abs().log().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "size"), [(D.StickBreakingTransform, 3),
                                            (D.CorrCholeskyTransform, 3)])  # fmt: skip
def test_the_jacobian_of_vectors(kind, size):
    t, x = kind(), dt.tensor([0.3, -0.7, 1.2], dtype=dt.float64)

    def free(x):
        y = t(x)
        if kind is D.StickBreakingTransform:
            return y[:-1]
        return D.utils.tril_matrix_to_vec(y, -1)

    matrix = dt.autograd.functional.jacobian(free, x)
    expected = dt.linalg.slogdet(matrix).logabsdet
    np.testing.assert_allclose(float(t.log_abs_det_jacobian(x, t(x))), float(expected), rtol=1e-9)


@each
def test_caches(name):
    t, x = built(name, "cpu", 1)
    y = t(x)
    if name not in ("compose", "compose to shares", "identity"):
        assert t(x) is y
    if name != "identity":
        assert t.inv(y) is x
    assert t.with_cache(1) is t
    if name not in ("compose", "compose to shares", "identity", "inverse", "cumulative"):
        again = pickle.loads(pickle.dumps(t))
        np.testing.assert_array_equal(again(x).numpy(), y.numpy())
    with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
        D.ExpTransform(cache_size=2)


def test_equality():
    for d in (D, torch.distributions):
        assert d.ExpTransform() == d.ExpTransform()
        assert d.ExpTransform() != d.TanhTransform()
        assert d.AffineTransform(1, 2) == d.AffineTransform(1, 2)
        assert d.AffineTransform(1, 2) != d.AffineTransform(1, 3)
        assert d.ExpTransform().inv == d.ExpTransform().inv
        assert d.ComposeTransform([d.ExpTransform()]) == d.ComposeTransform([d.ExpTransform()])
        assert d.Transform() != d.Transform()


def test_errors_of_shapes():
    for library, d in ((dt, D), (torch, torch.distributions)):
        for call in (
            lambda d=d: d.ReshapeTransform((2, 3), (5,)),
            lambda d=d: d.ReshapeTransform((2, 3), (6,)).forward_shape((6,)),
            lambda d=d: d.ReshapeTransform((2, 3), (6,)).forward_shape((3, 2)),
            lambda d=d: d.CorrCholeskyTransform().forward_shape((4,)),
            lambda d=d: d.CorrCholeskyTransform().inverse_shape((2, 3)),
            lambda d=d: d.StickBreakingTransform().forward_shape(()),
            lambda d=d, a=library.ones: d.IndependentTransform(d.ExpTransform(), 1)(a(())),
            lambda d=d, a=library.ones: d.utils.vec_to_tril_matrix(a(5)),
        ):
            with pytest.raises(ValueError):
                call()
        with pytest.raises(AssertionError):
            d.CatTransform([d.ExpTransform()], 0, [2])(library.ones(3))
        with pytest.raises(AssertionError):
            d.StackTransform([d.ExpTransform(), 3])


# ---- transformed distributions


MADE = {
    "of a larger transform": lambda d, a: d.TransformedDistribution(
        d.Normal(a(0.0), a(1.0)), d.AffineTransform(a([1.0, 2.0]), 2.0)),
    "of vectors": lambda d, a: d.TransformedDistribution(
        d.MultivariateNormal(a([0.0, 1.0]), scale_tril=a([[1.0, 0.0], [0.5, 2.0]])),
        [d.ExpTransform()]),
    "of shares": lambda d, a: d.TransformedDistribution(
        d.Normal(a([[0.0, 1.0], [0.5, 2.0]]), a(1.0)),
        [d.AffineTransform(0.5, 1.0), d.StickBreakingTransform()]),
    "turned": lambda d, a: d.TransformedDistribution(
        d.Normal(a([0.0, 1.0]), a(1.0)), [d.AffineTransform(1.0, -2.0), d.SigmoidTransform()]),
    "of nothing": lambda d, a: d.TransformedDistribution(d.Normal(a([0.0, 1.0]), a(1.0)), []),
    "reshaped": lambda d, a: d.TransformedDistribution(
        d.Normal(a([0.0, 1.0, 2.0, 3.0]), a(1.0)), d.ReshapeTransform((4,), (2, 2))),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_transformed_distributions(name):
    pair = []
    for library, d in ((dt, D), (torch, torch.distributions)):

        def array(x, library=library):
            return library.tensor(x, dtype=library.float64)

        pair.append(MADE[name](d, array))
    found, expected = pair
    assert found.batch_shape == expected.batch_shape
    assert found.event_shape == expected.event_shape
    assert repr(found.support) == repr(expected.support)
    assert found.has_rsample is expected.has_rsample
    larger = found.expand((3, *found.batch_shape))
    dt.manual_seed(0)
    value = larger.sample((2,))
    assert value.shape == (2, 3, *found.batch_shape, *found.event_shape)
    theirs = torch.tensor(value.numpy())
    for call in (
        lambda d, x: d.log_prob(x),
        lambda d, x: d.cdf(x),
        lambda d, x: d.icdf(x.sigmoid()),
        lambda d, x: d.expand((3, *d.batch_shape)).log_prob(x),
    ):
        agree(outcome(lambda c=call: c(found, value)), outcome(lambda c=call: c(expected, theirs)))


def test_what_cannot_be_transformed():
    for d in (D, torch.distributions):
        for wrong in (3, [d.ExpTransform(), 3], (d.ExpTransform(),)):
            with pytest.raises(ValueError, match="transforms must be"):
                d.TransformedDistribution(d.Normal(0.0, 1.0), wrong)
        with pytest.raises(ValueError, match="needs to have shape"):
            d.TransformedDistribution(d.Normal(0.0, 1.0), d.StickBreakingTransform())


# ---- constraints

CHECKED = [
    ("boolean", [0.0, 1.0, 0.5]), ("nonnegative_integer", [0.0, -1.0, 1.5, 3.0]),
    ("positive_integer", [0.0, 1.0, 2.5]), ("real", [1.0, float("nan"), float("inf")]),
    ("positive", [0.0, 1.0, -1.0]), ("nonnegative", [0.0, 1.0, -1.0]),
    ("unit_interval", [-0.1, 0.0, 1.0, 1.1]), ("real_vector", [[1.0, 2.0], [float("nan"), 1.0]]),
    ("simplex", [[0.5, 0.5], [0.5, 0.6], [-0.5, 1.5]]),
    ("one_hot", [[1.0, 0.0], [0.5, 0.5], [1.0, 1.0]]),
    ("lower_triangular", [[[1.0, 0.0], [2.0, -3.0]], [[1.0, 1.0], [2.0, 3.0]]]),
    ("lower_cholesky", [[[1.0, 0.0], [2.0, -3.0]], [[1.0, 0.0], [2.0, 3.0]]]),
    ("corr_cholesky", [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [2.0, 3.0]]]),
    ("square", [[1.0, 2.0], [3.0, 4.0]]), ("square", [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]),
    ("symmetric", [[1.0, 2.0], [2.0, 4.0]]), ("symmetric", [[1.0, 2.0], [3.0, 4.0]]),
    ("positive_definite", [[2.0, 1.0], [1.0, 2.0]]),
    ("positive_definite", [[1.0, 2.0], [2.0, 1.0]]),
    ("positive_definite", [[1.0, 2.0], [3.0, 1.0]]),
    ("positive_semidefinite", [[1.0, 1.0], [1.0, 2.0]]),
    ("positive_semidefinite", [[1.0, 2.0], [2.0, 1.0]]),
]  # fmt: skip
WITH_BOUNDS = [
    (lambda c: c.interval(-1.0, 2.0), [-1.0, 2.0, 3.0]),
    (lambda c: c.half_open_interval(-1.0, 2.0), [-1.0, 2.0, 3.0]),
    (lambda c: c.integer_interval(0, 2), [0.0, 1.5, 2.0, 3.0]),
    (lambda c: c.greater_than(1.0), [1.0, 2.0]),
    (lambda c: c.greater_than_eq(1.0), [1.0, 0.0]),
    (lambda c: c.less_than(1.0), [1.0, 0.0]),
    (lambda c: c.multinomial(3), [[1.0, 2.0], [2.0, 2.0]]),
    (lambda c: c.independent(c.positive, 1), [[1.0, 2.0], [-1.0, 2.0]]),
    (lambda c: c.cat([c.positive, c.real], 0, [1, 2]), [-1.0, 2.0, 3.0]),
    (lambda c: c.stack([c.positive, c.real], -1), [[-1.0, 2.0], [1.0, -3.0]]),
    (lambda c: c.MixtureSameFamilyConstraint(c.positive), [-1.0, 2.0]),
]


CONSTRAINTS = [(lambda c, name=name: getattr(c, name), x) for name, x in CHECKED] + WITH_BOUNDS


@pytest.mark.parametrize("number", range(len(CONSTRAINTS)))
def test_constraints(number, device):
    make, value = CONSTRAINTS[number]
    checks = []
    for where in (device, "torch"):
        library, d = side(where)
        x = library.tensor(value, dtype=library.float64)
        constraint = make(d.constraints)
        found = constraint.check(x if where == "torch" else x.to(where))
        checks.append((to_numpy(found).tolist(), constraint.event_dim, constraint.is_discrete))
    assert checks[0] == checks[1]


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize("number", range(len(CONSTRAINTS)))
def test_registries(registry, number):
    make, _ = CONSTRAINTS[number]
    results = []
    for where in ("cpu", "torch"):
        library, d = side(where)
        constraint = make(d.constraints)
        try:
            t = getattr(d, registry)(constraint)
        except NotImplementedError as error:
            results.append(type(error))
            continue
        size = tuple(t.inverse_shape((3, 3))) if constraint.event_dim == 2 else (3, 2)
        x = library.linspace(-2, 2, int(np.prod(size)), dtype=library.float64).reshape(size)
        y = outcome(lambda t=t, x=x: t(x))
        results.append(y)
        if where == "cpu" and not isinstance(y, type):
            assert constraint.check(t(x)).all()
    agree(*results)


@every
def test_parameters_can_be_made_of_anything(family):
    made = family.make("cpu")
    for constraint in [*made.arg_constraints.values(), made.support]:
        try:
            t = D.transform_to(constraint)
        except NotImplementedError:
            assert constraint.is_discrete
            continue
        size = t.inverse_shape((2, 2)) if constraint.event_dim == 2 else (3, 2)
        dt.manual_seed(0)
        x = dt.randn(size, dtype=dt.float64)
        assert constraint.check(t(x)).all()


def test_a_constraint_can_be_registered():
    class Even(D.constraints.Constraint):
        pass

    with pytest.raises(NotImplementedError, match="Cannot transform Even constraints"):
        D.transform_to(Even())

    @D.transform_to.register(Even)
    def double(constraint):
        return D.AffineTransform(0, 2)

    assert D.transform_to(Even())(dt.tensor(3)) == 6
    with pytest.raises(TypeError, match="Expected constraint to be"):
        D.biject_to.register(3, double)


def test_dependent_constraints():
    for d in (D, torch.distributions):
        c = d.constraints
        assert c.is_dependent(c.dependent)
        assert not c.is_dependent(c.real)
        with pytest.raises(NotImplementedError, match="cannot be determined statically"):
            _ = c.dependent.event_dim
        assert c.dependent(event_dim=2).event_dim == 2
        assert c.dependent(is_discrete=True, event_dim=2).is_discrete
        with pytest.raises(ValueError, match="Cannot determine validity"):
            c.dependent.check(None)
        assert c.is_dependent(d.Uniform.support)
        assert d.Uniform.support.event_dim == 0


def test_triangles():
    x = np.arange(1.0, 7.0)
    for diagonal in (-1, 0):
        results = []
        for library, d in ((dt, D), (torch, torch.distributions)):
            matrix = d.utils.vec_to_tril_matrix(library.tensor(x), diagonal)
            results.append((matrix.numpy(), d.utils.tril_matrix_to_vec(matrix, diagonal).numpy()))
            with pytest.raises(ValueError, match="provided is outside"):
                d.utils.tril_matrix_to_vec(matrix, 9)
        for one, two in zip(*results, strict=True):
            np.testing.assert_array_equal(one, two)
