"""Shapes, batches, validation and subclasses."""

import pickle
import warnings

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import distributions as D
from families import FAMILIES, agree, every, outcome, side, to_numpy


@every
def test_shapes_and_flags(family, device):
    found, expected = family.make(device), family.make("torch")
    for name in ("batch_shape", "event_shape", "has_rsample", "has_enumerate_support"):
        assert getattr(found, name) == getattr(expected, name), name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's Wishart takes good samples for bad ones
        dtype = str(expected.sample().dtype).removeprefix("torch.")
    for shape in ((), (3,), (2, 0), [4]):
        drawn = found.sample(shape)
        assert drawn.shape == (*shape, *expected.batch_shape, *expected.event_shape)
        assert drawn.device == dt.device(device)
        assert drawn.dtype.name == dtype
        assert not drawn.requires_grad
    assert found.support.check(found.sample((50,))).all()


@every
def test_text_and_constraints(family):
    found, expected = family.make("cpu"), family.make("torch")
    assert type(found).__name__ == type(expected).__name__
    if not isinstance(expected, torch.distributions.TransformedDistribution):
        assert repr(found) == repr(expected)
    assert list(found.arg_constraints) == list(expected.arg_constraints)
    for name, constraint in found.arg_constraints.items():
        other = expected.arg_constraints[name]
        assert repr(constraint) == repr(other)
        assert constraint.event_dim == other.event_dim
    if family.name != "Multinomial":  # PyTorch's does not show its bound
        assert repr(found.support) == repr(expected.support)
    assert found.support.is_discrete == expected.support.is_discrete
    assert found.support.event_dim == expected.support.event_dim


@every
def test_expand(family, device):
    plain, expected = family.make(device), family.make("torch")
    for size in ((2,), (3, 2), (1, 4, 2)):
        larger = plain.expand(size)
        assert type(larger) is type(plain)
        assert larger.batch_shape == size
        assert larger.event_shape == plain.event_shape
        sample = larger.sample((5,))
        assert sample.shape == (5, *size, *plain.event_shape)
        agree(to_numpy(larger.log_prob(sample)), to_numpy(plain.log_prob(sample)))
        twice = larger.expand((2, *size))
        assert twice.sample().shape == (2, *size, *plain.event_shape)
        for name in ("mean", "variance"):
            other = expected.expand(size)
            call = [lambda d=d, name=name: getattr(d, name) for d in (larger, other)]
            agree(*map(outcome, call))
        assert repr(larger).startswith(type(plain).__name__)


@every
def test_subclasses_expand(family):
    kind = getattr(D, family.name)

    class Plain(kind):
        pass

    class Other(kind):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.extra = dt.ones(2)

    made = family.make("cpu")
    tensors = {k: dt.tensor(v) if isinstance(v, list) else v for k, v in family.params.items()}
    assert type(Plain(**tensors).expand((3, 2))) is Plain
    with pytest.raises(NotImplementedError, match=r"must also define a custom .expand"):
        Other(**tensors).expand((3, 2))
    assert made.expand((3, 2)).batch_shape == (3, 2)


class Scaled(D.Normal):
    """A subclass with a parameter of its own."""

    def __init__(self, loc, scale, factor, validate_args=None):
        self.factor = factor
        super().__init__(loc, scale * factor, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = self._get_checked_instance(Scaled, _instance)
        new.factor = self.factor.expand(batch_shape)
        return super().expand(batch_shape, _instance=new)


def test_a_subclass_with_its_own_expand():
    larger = Scaled(dt.zeros(2), dt.ones(2), dt.tensor([1.0, 2.0])).expand((3, 2))
    assert type(larger) is Scaled
    assert larger.factor.shape == larger.scale.shape == (3, 2)
    assert larger.scale[0].tolist() == [1.0, 2.0]


def test_a_distribution_of_ones_own_has_no_expand():
    class Own(D.Distribution):
        arg_constraints = {}  # noqa: RUF012

    with pytest.raises(NotImplementedError):
        Own().expand((2,))
    for name in ("mean", "variance", "support"):
        with pytest.raises(NotImplementedError):
            getattr(Own(), name)
    for name in ("rsample", "entropy", "enumerate_support"):
        with pytest.raises(NotImplementedError):
            getattr(Own(), name)()

    class Vague(D.Distribution):
        pass

    with pytest.warns(UserWarning, match="does not define `arg_constraints`"):
        Vague()
    Vague(validate_args=False)


INVALID = {
    "probs": [1.5, -0.1], "scale": [-1.0, 1.0], "concentration": [-1.0, 1.0], "rate": [-1.0, 2.0],
    "df": [-1.0, 3.0], "concentration1": [-1.0, 1.0], "df1": [-2.0, 1.0], "alpha": [-1.0, 1.0],
    "total_count": [-1.0, 2.0], "loc": [float("nan"), 1.0],
}  # fmt: skip
VECTORS = {
    "probs": [[0.5, -0.1, 0.6], [0.2, 0.3, 0.5]],
    "concentration": [[0.5, -0.1, 0.6], [0.2, 0.3, 0.5]],
    "loc": [[float("nan"), 1.0], [0.0, 1.0]],
}


@every
def test_invalid_parameters(family):
    vectors = any(isinstance(v, list) and isinstance(v[0], list) for v in family.params.values())
    table = VECTORS if vectors else INVALID
    for name in set(table) & set(family.params):
        results = []
        for where in ("cpu", "torch"):
            library, _ = side(where)
            bad = library.tensor(table[name], dtype=library.float64)
            for validate in (True, False):
                call = [family.make, where, {name: bad, "validate_args": validate}]
                try:
                    call[0](call[1], **call[2])
                    results.append(None)
                except (ValueError, RuntimeError) as error:
                    results.append(error)
        loud, silent, theirs, their_silence = results
        if silent is None:  # PyTorch's parts are checked where the whole should not be
            their_silence = None
        assert type(loud) is type(theirs), (name, loud, theirs)
        assert type(silent) is type(their_silence), (name, silent, their_silence)
        if isinstance(theirs, ValueError) and "satisfy" in str(theirs):
            assert "Expected parameter" in str(loud)
            assert "to satisfy the constraint" in str(loud)


@every
def test_invalid_values(family):
    for change in (
        lambda x: x * float("nan"),
        lambda x: x * -1000.5,
        lambda x: x[..., :1].repeat(*[1] * (x.ndim - 1), 5),
        lambda x: "text",
    ):
        results = []
        for where in ("cpu", "torch"):
            d = family.make(where, validate_args=True)
            value = change(family.value(where, "float64"))
            try:
                d.log_prob(value)
                results.append(None)
            except ValueError as error:
                results.append(error)
            except TypeError as error:  # PyTorch's converts it first
                results.append(ValueError(str(error)))
        assert type(results[0]) is type(results[1]), results


def test_the_default_of_validation():
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
        with pytest.raises(ValueError, match="Expected parameter scale"):
            D.Normal(0.0, -1.0, validate_args=True)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError):
        D.Distribution.set_default_validate_args(None)


def test_both_or_none():
    for kind in (D.Bernoulli, D.Categorical, D.Geometric, D.ContinuousBernoulli):
        for given in ({}, {"probs": dt.ones(2), "logits": dt.ones(2)}):
            with pytest.raises(ValueError, match="Either `probs` or `logits` must be specified"):
                kind(**given)
    matrix = dt.eye(2)
    for given in ({}, {"covariance_matrix": matrix, "scale_tril": matrix}):
        with pytest.raises(ValueError, match="Exactly one of"):
            D.MultivariateNormal(dt.zeros(2), **given)


@every
def test_numbers_as_parameters(family):
    numbers = {
        name: value[0] if isinstance(value, list) and isinstance(value[0], float) else None
        for name, value in family.params.items()
        if isinstance(value, list)
    }
    if None in numbers.values() or "temperature" in numbers or family.dtype == "float32":
        return
    found, expected = (family.make(where, **numbers) for where in ("cpu", "torch"))
    assert found.batch_shape == expected.batch_shape
    assert found.sample().dtype is dt.float32
    agree(outcome(lambda: found.mean), outcome(lambda: expected.mean))


@every
def test_broadcasting_of_parameters(family):
    found, expected = (
        family.make(
            where,
            **{
                name: x.reshape(1, *x.shape) if number % 2 else x
                for number, (name, x) in enumerate(family.leaves(where).items())
            },
        )
        for where in ("cpu", "torch")
    )
    assert found.batch_shape == expected.batch_shape
    assert found.sample((3,)).shape == (3, *expected.batch_shape, *expected.event_shape)


@every
def test_pickles(family):
    made = family.make("cpu")
    again = pickle.loads(pickle.dumps(made))
    value = family.value("cpu")
    np.testing.assert_array_equal(again.log_prob(value).numpy(), made.log_prob(value).numpy())


def test_sample_n_is_old():
    with pytest.warns(FutureWarning, match="sample_n"):
        assert D.Normal(0.0, 1.0).sample_n(3).shape == (3,)


def test_lazy_parameters_have_gradients():
    made = D.Bernoulli(logits=dt.tensor([0.5, -1.0], requires_grad=True))
    with dt.no_grad():
        probs = made.probs
    assert probs.requires_grad
    assert made.probs is probs
    assert "probs" not in vars(D.Bernoulli(logits=dt.zeros(2)))


def test_independent():
    for library, d in ((dt, D), (torch, torch.distributions)):
        base = d.Normal(library.zeros(2, 3), library.ones(2, 3))
        made = d.Independent(base, 1)
        assert (made.batch_shape, made.event_shape) == ((2,), (3,))
        assert made.log_prob(library.zeros(4, 2, 3)).shape == (4, 2)
        assert made.entropy().shape == (2,)
        assert made.expand((5, 2)).sample((7,)).shape == (7, 5, 2, 3)
        assert repr(made).startswith("Independent(Normal(loc: torch.Size([2, 3])")
        assert repr(made.support) == "IndependentConstraint(Real(), 1)"
        with pytest.raises(ValueError, match="reinterpreted_batch_ndims"):
            d.Independent(base, 3)
        with pytest.raises(NotImplementedError):
            d.Independent(d.Bernoulli(library.ones(2)), 1).enumerate_support()


@pytest.mark.parametrize("weights", [[0.2, 0.8], [[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]]])
def test_mixtures(weights, device):
    results = []
    for where in (device, "torch"):
        library, d = side(where)

        def array(x, library=library, where=where):
            made = library.tensor(x, dtype=library.float64)
            return made if where == "torch" else made.to(where)

        mixing = d.Categorical(array(weights))
        loc = array([[0.0, 1.0], [2.0, 3.0], [-1.0, 5.0]])
        values = array([0.3, 1.5, 2.0])
        plain = d.MixtureSameFamily(mixing, d.Normal(loc, 1.5))
        pairs = loc.unsqueeze(-1).expand(3, 2, 4)
        vectors = d.MixtureSameFamily(mixing, d.Independent(d.Normal(pairs, 0.5), 1))
        several = values.unsqueeze(-1).expand(3, 4)
        results.append(
            [
                plain.mean, plain.variance, plain.log_prob(values), plain.cdf(values),
                vectors.mean, vectors.variance, vectors.log_prob(several),
                plain.expand((2, 3)).mean, plain.expand((2, 3)).log_prob(values),
            ]
        )  # fmt: skip
        for made in (plain, vectors):
            assert made.batch_shape == (3,)
            if where != "torch":  # PyTorch's wants weights for each of the batch
                size = made.sample((6,)).shape
                assert size == (6, *made.batch_shape, *made.event_shape)
        with pytest.raises(ValueError, match="does not equal"):
            d.MixtureSameFamily(mixing, d.Normal(library.zeros(3), library.ones(3)))
        with pytest.raises(ValueError, match="Mixture distribution needs"):
            d.MixtureSameFamily(d.Normal(0.0, 1.0), d.Normal(0.0, 1.0))
        with pytest.raises(ValueError, match="Component distribution needs"):
            d.MixtureSameFamily(mixing, 3)
    for found, expected in zip(*results, strict=True):
        agree(to_numpy(found), to_numpy(expected))


def test_every_distribution_is_in_the_table():
    own = {
        name for name in D.__all__
        if isinstance(getattr(D, name), type) and issubclass(getattr(D, name), D.Distribution)
    }  # fmt: skip
    general = {"Distribution", "ExponentialFamily", "Independent", "MixtureSameFamily"}
    assert own - general - {"TransformedDistribution"} == {family.name for family in FAMILIES}
