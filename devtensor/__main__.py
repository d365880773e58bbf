"""``python -m devtensor``: reports the environment; ``python -m devtensor train`` shows it at work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the command line if not given.
    """
    # Options are read before anything else is loaded, so that help and mistakes are answered at once.
    parser = argparse.ArgumentParser(
        prog="python -m devtensor",
        description="Without a command: report versions, devices and what is missing.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", title="commands")
    training = commands.add_parser(
        "train",
        help="train a small network on handwritten digits and compare the gradient modes",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    from devtensor.commands import environment, train

    train.add_arguments(training)
    options = parser.parse_args(arguments)
    if options.version:
        print(environment.version())
        return 0
    try:
        if options.command == "train":
            return train.run(options)
        print(environment.report())
    except (RuntimeError, OSError) as error:
        print(f"devtensor: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
