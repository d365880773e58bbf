"""Which devices the tests find, and what follows where one is not there."""

import os
from importlib.util import find_spec

import pytest

import devtensor as dt

CURES = {
    "xpu": "pip install -e '.[test,xpu]'",
    "cuda": "pip install -e '.[cuda13]' on a machine with an NVIDIA GPU",
    "nvrtc": "pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-cccl",
}


def required(kind):
    """Whether it is an error that there is no `kind`: under CI, unless it says what it has.

    ``DEVTENSOR_TEST_REQUIRES`` lists it: ``xpu cuda nvrtc``, or some of them.
    """
    listed = os.environ.get("DEVTENSOR_TEST_REQUIRES")
    if listed is None:
        return os.environ.get("CI", "").lower() in ("1", "true")
    return kind in listed.split()


def absent(name):
    """Why there is no such device, in the words of the package; None if there is one."""
    try:
        dt.device(name).resolve()
    except (RuntimeError, ImportError) as reason:
        return str(reason)
    return None


def missing(kind, reason):
    """The reason for a skip; an error where tests of that kind are required to run."""
    text = f"the tests of {kind} did not run: {reason}. To run them: {CURES[kind]}"
    if required(kind):
        raise pytest.UsageError(f"{text} (or leave {kind!r} out of DEVTENSOR_TEST_REQUIRES)")
    return text


def parameters(names):
    """The devices as parameters of tests; those that are not there are skipped, or an error."""
    made = []
    for name in names:
        kind = name.partition(":")[0]
        reason = absent(name) if kind in CURES else None
        marks = [pytest.mark.skip(reason=missing(kind, reason))] if reason else []
        made.append(pytest.param(name, marks=marks))
    return made


def use_stand_in():
    """Run CuPy on the processor if the stand-in for CUDA is on Python's path."""
    if find_spec("cupy_on_cpu") and find_spec("cupy"):
        import cupy_on_cpu  # noqa: F401

        import cupy_on_host  # noqa: F401  solvers and transforms by NumPy, which it lacks


# Tests whose subject is NumPy: its memory, its arrays' weak references, its messages. Under
# ``--default-device`` they say nothing.
OF_THE_HOST = {
    "test_a_graph_goes_with_its_result",
    "test_backward_lets_go_of_what_it_saved",
    "test_buffers_are_used_again_only_if_nobody_sees_them",
    "test_dying_operands_give_their_memory",
    "test_every_write_counts_once",
    "test_hooks_let_go_of_what_is_saved",
    "test_long_chains_do_not_recurse",
    "test_long_chains_leave_nothing_behind",
    "test_no_cycles",
    "test_numpy_inside",
    "test_packed_values_make_no_cycle",
    "test_grad_without_retain_graph_lets_go_of_it_too",
    "test_the_error_names_operation_and_line",
    "test_views_and_writes_make_no_cycle",
    "test_whatever_has_nothing_to_do_returns_the_tensor",
}
