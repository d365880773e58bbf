"""Graphs in which a pattern is replaced: the same code, nodes and results as in PyTorch."""

import operator
from importlib import import_module

import pytest
import torch

import devtensor as dt
from sides import SIDES, outcome


def rewriter(lib):
    return import_module(f"{lib.__name__}.fx.subgraph_rewriter")


def traced(lib, function):
    return import_module(f"{lib.__name__}.fx").symbolic_trace(function)


def simple(lib):
    def forward(x, w1, w2):
        one = lib.cat([w1, w2]).sum()
        two = lib.cat([w1, w2]).sum()
        return x + one.relu() + two.relu()

    return forward, lambda a, b: lib.cat([a, b]), lambda a, b: lib.stack([a, b])


def overlapping(lib):
    def forward(x):
        return lib.neg(lib.neg(lib.neg(x))) + 1

    return forward, lambda a: lib.neg(lib.neg(a)), lambda a: lib.sin(a)


def used_elsewhere(lib):
    def forward(x):
        inner = x.relu()
        return inner.exp() + inner

    return forward, lambda a: a.relu().exp(), lambda a: a.exp()


def chained(lib):
    def forward(x):
        return lib.relu(x.exp() + 3).exp() + 4

    return forward, lambda a, n: a.exp() + n, lambda a, n: lib.sub(a, n)


def several_results(lib):
    def forward(x, y):
        a, b = x + y, x * y
        return lib.relu(a) - lib.relu(b), a

    def pattern(x, y):
        return x + y, x * y

    def replacement(x, y):
        return x - y, x / y

    return forward, pattern, replacement


def several_results_in_a_ring(lib):
    def forward(x, y):
        a = x + y
        return (a * y).relu()

    def pattern(x, y, z):
        return x + y, z * y

    return forward, pattern, lambda x, y, z: (x - y, z - y)


def same_argument(lib):
    def forward(x, y):
        return lib.add(x, x) * lib.add(x, y)

    return forward, lambda a, b: lib.add(a, b), lambda a, b: lib.sub(a, b)


def keywords(lib):
    def forward(x):
        return x.sum(dim=0) + x.sum(0) + x.sum(dim=1)

    return forward, lambda a: a.sum(dim=0), lambda a: a.mean(dim=0)


def nothing(lib):
    return (lambda x: x + 1), (lambda a: a + 2), (lambda a: a)


CASES = [simple, overlapping, used_elsewhere, chained, several_results, several_results_in_a_ring,
         same_argument, keywords, nothing]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_is_found_and_what_stands_there_then(case):
    found = []
    for lib in (dt, torch):
        forward, pattern, replacement = case(lib)
        module = traced(lib, forward)
        matches = rewriter(lib).replace_pattern(module, pattern, replacement)
        named = [
            (str(m.anchor), sorted((str(k), str(v)) for k, v in m.nodes_map.items()))
            for m in matches
        ]
        module.graph.lint()
        arguments = [lib.full((2, 2), 0.5 + i) for i in range(forward.__code__.co_argcount)]
        found.append((named, module.code, outcome(lambda: module(*arguments))))  # noqa: B023
    (ours, code, result), (theirs, other_code, other_result) = found
    assert ours == theirs and code.replace("devtensor", "torch") == other_code
    assert str(type(result)).rpartition(".")[2] == str(type(other_result)).rpartition(".")[2]
    results = [r if isinstance(r, tuple) else [r] for r in (result, other_result)]
    for one, two in zip(*results, strict=True):
        if not isinstance(two, Exception):
            dt.testing.assert_close(one, dt.tensor(two.tolist()))


@SIDES
def test_filters_callbacks_and_other_numbers(lib):
    def build():
        return traced(lib, lambda x: (x + 1) * (x + 2))

    replace = rewriter(lib).replace_pattern_with_filters
    module = build()
    assert len(replace(module, lambda a: a + 7, lambda a: a - 1, ignore_literals=True)) == 2
    assert module(lib.tensor(3.0)).item() == 4
    module = build()
    seen = []

    def second(match, graph, pattern):
        seen.append(match.placeholder_nodes)
        return match.returning_nodes[0].args[1] == 2

    matches = replace(
        module, lambda a: a + 7, lambda a: a - 1, match_filters=[second], ignore_literals=True
    )
    assert len(seen) == 2 and [str(n) for n in matches[0].replacements] == ["sub"]
    assert module(lib.tensor(3.0)).item() == 8

    def made(match, graph, pattern):
        number = match.returning_nodes[0].args[1]
        return traced(lib, lambda a: a * number).graph

    module = build()
    replace(module, lambda a: a + 7, replacement_callback=made, ignore_literals=True)
    assert module(lib.tensor(3.0)).item() == 18
    with pytest.raises(AssertionError, match="Must provide either"):
        replace(module, lambda a: a + 7)


@SIDES
def test_parts_come_with_a_replacement(lib):
    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = lib.nn.ReLU(), lib.nn.Tanh()

        def forward(self, x):
            return self.last(self.first(x))

    class Other(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scaled = lib.nn.Linear(2, 2)
            self.register_parameter("shift", lib.nn.Parameter(lib.ones(2)))

        def forward(self, x):
            return self.scaled(x) + self.shift

    class Pattern(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = lib.nn.ReLU()

        def forward(self, x):
            return self.first(x)

    module, other = traced(lib, Net()), traced(lib, Other())
    matches = rewriter(lib).replace_pattern(module, traced(lib, Pattern()), other)
    assert len(matches) == 1
    assert [name for name, _ in module.named_children()] == ["last", "scaled"]
    x = lib.ones(1, 2)
    assert lib.equal(module(x), lib.tanh(other(x)))
    assert module.scaled is not other.scaled


@SIDES
def test_what_cannot_be_matched_or_put(lib):
    module = traced(lib, lambda x: x + 1)
    with pytest.raises(AssertionError, match="Placeholder count mismatch"):
        rewriter(lib).replace_pattern(module, lambda a: a + 1, lambda a, b: a + b)
    with pytest.raises(AssertionError, match="Returning nodes count mismatch"):
        rewriter(lib).replace_pattern(module, lambda a: a + 1, lambda a: (a + 1, a))

    def wasteful(a):
        a * 2
        return a + 1

    with pytest.raises(AssertionError, match="dead code"):
        rewriter(lib).replace_pattern(module, wasteful, lambda a: a)
    fx = import_module(f"{lib.__name__}.fx")
    utilities = import_module(f"{lib.__name__}.fx.passes.utils.matcher_utils")
    with pytest.raises(ValueError, match="empty pattern"):
        utilities.SubgraphMatcher(fx.Graph())
    whole = utilities.SubgraphMatcher(traced(lib, lambda a: a + 1).graph, match_output=True)
    assert len(whole.match(traced(lib, lambda a: a + 1).graph)) == 1
    assert whole.match(traced(lib, lambda a: (a + 1) * 2).graph) == []


@SIDES
def test_a_pattern_that_does_nothing_is_refused_before_the_graph_changes(lib):
    for pattern, other in (
        (lambda a: a, lambda a: lib.tanh(a)),
        (lambda a, b: (a, b), lambda a, b: (b, lib.tanh(a))),
    ):
        module = traced(lib, lambda x: lib.relu(x) + 1)
        before = module.code
        with pytest.raises(AssertionError, match="insert point can't be None"):
            rewriter(lib).replace_pattern(module, pattern, other)
        if lib is dt:  # PyTorch's has changed then
            module.recompile()
            assert module.code == before


@pytest.mark.parametrize("pattern", [lambda a: dt.sum(a, 0), lambda a: dt.sum(a, dim=0)])
def test_options_by_name_and_by_position_are_one_pattern(pattern):
    module = traced(dt, lambda x: dt.sum(x, dim=0) + dt.sum(x, 0) + dt.sum(x, 1))
    assert len(rewriter(dt).replace_pattern(module, pattern, lambda a: dt.amax(a, 0))) == 2
    assert module(dt.tensor([[1.0, 2.0], [3.0, 5.0]])).tolist() == [9, 18]


def test_an_operation_of_another_name():
    module = traced(dt, lambda x: operator.neg(x) + 1)
    assert rewriter(dt).replace_pattern(module, lambda a: -a, lambda a: a * 3)
    assert module(dt.tensor(2.0)).item() == 7
