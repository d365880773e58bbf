"""``python -m devtensor`` reports the environment; its commands train, run, check and test."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from devtensor.commands import check, environment, run, selftest, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line if not given.
    """
    parser = argparse.ArgumentParser(
        prog="python -m devtensor",
        description="Without a command: report versions, devices and what is missing.",
    )
    parser.add_argument("--version", action="version", version=environment.version())
    commands = parser.add_subparsers(dest="command", title="commands")
    training = commands.add_parser(
        "train", help="train a small network on handwritten digits and compare the gradient modes"
    )
    train.add_arguments(training)
    running = commands.add_parser(
        "run", help="run a PyTorch program as it is, with devtensor in the place of PyTorch"
    )
    run.add_arguments(running)
    checking = commands.add_parser(
        "check", help="say which names of PyTorch a program uses that devtensor lacks"
    )
    check.add_arguments(checking)
    testing = commands.add_parser(
        "selftest", help="run every operation on a device and compare it with the cpu"
    )
    selftest.add_arguments(testing)
    options = parser.parse_args(arguments)
    if options.command == "run":  # its errors are the program's own
        run.run(options.program, options.arguments, module=options.module)
        return 0
    try:
        if options.command == "check":
            return check.run(options)
        if options.command == "selftest":
            return selftest.run(options)
        if options.command == "train":
            # Matrices this small gain nothing from threads, which on a busy machine wait for each
            # other. OpenBLAS reads it when NumPy is loaded, which has not happened yet.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            return train.run(options)
        print(environment.report(), flush=True)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RuntimeError, OSError) as error:
        print(f"devtensor: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
