"""Steps as functions of lists against PyTorch's."""

import inspect
from importlib import import_module

import numpy as np
import pytest
import torch

import devtensor as dt
from optim.both import close

pytestmark = pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of PyTorch

FORMS = {
    "adadelta": "adadelta", "adafactor": "_adafactor", "adagrad": "adagrad", "adam": "adam",
    "adamax": "adamax", "adamw": "adamw", "asgd": "asgd", "muon": "_muon", "nadam": "nadam",
    "radam": "radam", "rmsprop": "rmsprop", "rprop": "rprop", "sgd": "sgd",
}  # fmt: skip
NUMBERS = {"state_steps": 3.0, "etas": 0.3, "mus": 0.3, "mu_products": 0.3}
SHAPES = {"row_vars": (3, 1), "col_vars": (1, 4)}
FIXED = {
    "ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": 5, "adjust_lr_fn": None,
    "eps": 1e-6, "eps1": 1e-6, "eps2": 1e-3, "dampening": 0.0, "t0": 2.0, "step_size_min": 1e-4,
    "step_size_max": 5.0, "etaplus": 1.2, "etaminus": 0.5, "d": 1.0, "beta2_decay": -0.8,
    "has_complex": False, "foreach": False,
}  # fmt: skip


def both(name):
    """A function, here and in PyTorch, and the signature of PyTorch's."""
    files = [import_module(f"{lib}.optim.{FORMS[name]}") for lib in ("devtensor", "torch")]
    functions = [getattr(file, name) for file in files]
    return (*functions, inspect.signature(inspect.unwrap(functions[1])))


def arguments(signature, chosen):
    """Lists and options by name, with every option that may be chosen set or not."""
    random, lists, options = np.random.default_rng(0), {}, {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            switch = name in ("nesterov", "maximize", "amsgrad", "centered")
            usual = 0.9 * chosen if name == "momentum" else chosen if switch else 0.1
            options[name] = FIXED.get(name, usual)
        elif parameter.default is parameter.empty:
            shape = () if name in NUMBERS else SHAPES.get(name, (3, 4))
            lists[name] = [
                np.full(shape, NUMBERS[name]) if name in NUMBERS else random.random(shape)
                for _ in range(2)
            ]
            if name in ("variances", "momentum_buffer_list") and not chosen:
                lists[name] = [None, None]
            elif name in ("max_exp_avg_sqs", "grad_avgs") and not chosen:
                lists[name] = []
    if "variances" in lists:
        lists["variances"] = [None, None]
    return lists, options


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_a_step_by_lists(name, chosen):
    ours, theirs, signature = both(name)
    lists, options = arguments(signature, chosen)
    results = []
    for lib, function in ((dt, ours), (torch, theirs)):
        given = {
            key: [None if x is None else lib.tensor(x.tolist()) for x in values]
            for key, values in lists.items()
        }
        function(**given, **{**options, **({"foreach": False} if lib is torch else {})})
        results.append(given)
    for key, values in results[1].items():
        for one, two in zip(results[0][key], values, strict=True):
            if two is None:
                assert one is None
            else:
                close(one, two, 3e-2 if name == "muon" else 1e-5)  # PyTorch: in bfloat16


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"adamw", "muon"}))
def test_arguments_have_pytorchs_names(name):
    ours, _, theirs = both(name)
    mine = inspect.signature(ours).parameters
    given, wanted = (
        [(key, p.kind, p.default) for key, p in parameters.items()]
        for parameters in (mine, theirs.parameters)
    )
    assert sorted(given, key=str) == sorted(wanted, key=str)
    in_order = [[one for one in found if one[1] is not inspect.Parameter.KEYWORD_ONLY]
                for found in (given, wanted)]  # fmt: skip
    assert in_order[0] == in_order[1]
    with pytest.raises(TypeError, match="missing"):
        ours([dt.ones(1)], [dt.ones(1)])


@pytest.mark.parametrize("name", FORMS)
def test_a_function_says_whose_step_it_takes(name):
    function = both(name)[0]
    assert f"`{name}`" in function.__doc__.lower()


@pytest.mark.parametrize("wrong", ["grads", "memory", "ints", "leaf", "capturable"])
@pytest.mark.parametrize("name", FORMS)
def test_lists_that_do_not_fit_are_refused_before_a_step(name, wrong):
    ours, theirs, signature = both(name)
    if {"ints": "state_steps", "capturable": "capturable"}.get(wrong, "params") not in (
        signature.parameters
    ):
        pytest.skip("it has none")
    lists, options = arguments(signature, True)
    errors = []
    for lib, function in ((dt, ours), (torch, theirs)):
        given = {
            key: [None if x is None else lib.tensor(x.tolist(), device="cpu") for x in values]
            for key, values in lists.items()
        }
        extra = {"foreach": False} if lib is torch else {}
        if wrong in ("grads", "memory"):
            del given[list(given)[1 if wrong == "grads" else 2]][1]
        elif wrong == "ints":
            given["state_steps"] = [1, 1]
        elif wrong == "leaf":
            given["params"][1].requires_grad_()
        else:
            extra["capturable"] = True
        before = [p.tolist() for p in given["params"]]
        if (name, wrong, lib) == ("asgd", "ints", torch):
            errors.append(RuntimeError)  # PyTorch forgets the steps that it counted
            continue
        with pytest.raises((RuntimeError, LookupError, ValueError, AssertionError)) as error:
            function(**given, **{**options, **extra})
        errors.append(error.type)
        if lib is dt:
            assert [p.tolist() for p in given["params"]] == before
    if errors[1] is ValueError:  # of a zip in PyTorch
        errors[1] = IndexError
    assert errors[0] is errors[1]


def test_a_step_of_scaled_gradients_that_may_overflow():
    from devtensor.optim.sgd import sgd

    options = {"weight_decay": 0, "momentum": 0, "lr": 1.0, "dampening": 0, "nesterov": False}
    p, g = dt.tensor([8.0]), dt.tensor([16.0])
    scaled = {"grad_scale": dt.tensor(4.0), "maximize": False}
    sgd([p], [g], [None], found_inf=dt.tensor(1.0), **scaled, **options)
    assert p.tolist() == [8]
    sgd([p], [g], [None], found_inf=dt.tensor(0.0), **scaled, **options)
    assert p.tolist() == [4]


def test_sparse_adam_by_lists():
    from torch.optim._functional import sparse_adam as theirs

    from devtensor.optim._functional import sparse_adam

    results = []
    for lib, function in ((dt, sparse_adam), (torch, theirs)):
        p, mean, square = lib.ones(3, 2), lib.zeros(3, 2), lib.ones(3, 2)
        grad = lib.sparse_coo_tensor(lib.tensor([[2]]), lib.tensor([[4.0, -1.0]]), (3, 2))
        function(
            [p], [grad], [mean], [square], [2], eps=1e-8, beta1=0.9, beta2=0.99, lr=0.1,
            maximize=True,
        )  # fmt: skip
        results.append((p, mean, square))
    for one, two in zip(*results, strict=True):
        close(one, two, 1e-6)


@pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])
def test_sparse_adam_refuses_sparse_parameters(lib):
    sparse = lib.sparse_coo_tensor(lib.tensor([[0]]), lib.tensor([1.0]), (3,)).requires_grad_()
    with pytest.raises(ValueError, match=r"Sparse params at indices \[\[0, 1\]\]"):
        lib.optim.SparseAdam([lib.ones(2).requires_grad_(), sparse])
