"""How long two programs take beside PyTorch: ``python tests/benchmarks/programs.py``.

An epoch of the digits CNN and 100 steps of the character GPT from ``docs/examples``, each with
both libraries in turn, in one process, on all processors that it may use. For PyTorch the same
source is run with the imports changed. What is measured is the time on the clock, so the machine
should have nothing else to do; ``--threads 1`` and ``--cpu`` measure the processor's time on one.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from statistics import median
from types import ModuleType

from beside import clock_of, libraries, parser

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PROGRAMS = {
    "digits CNN, an epoch": ("cnn_digits", ["--epochs", "1"]),
    "character GPT, 100 steps": ("char_gpt", ["--steps", "100"]),
}
IMPORTS = {
    "import devtensor as torch": "import torch",
    "from devtensor import nn": "from torch import nn",
    "from devtensor.nn import": "from torch.nn import",
    "from devtensor.datasets import digits": "",
}
TARGET = 1.0


def program(name, library):
    """The `main` of an example, written for devtensor or for PyTorch."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    module = ModuleType(f"{name}_{library}")
    if library == "torch":
        import torch

        from devtensor.datasets import digits

        for ours, theirs in IMPORTS.items():
            source = source.replace(ours, theirs)
        module.digits = lambda: tuple(torch.from_numpy(x.numpy()) for x in digits())
    exec(compile(source, module.__name__, "exec"), module.__dict__)
    return module.main


def seconds(main, arguments, clock):
    """The time of a run, which prints nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        begun = clock()
        main(arguments)
        return clock() - begun


def compare(name, arguments, rounds, clock):
    """The times of both libraries, which take turns after a first run that does not count."""
    mains = {library: program(name, library) for library in ("devtensor", "torch")}
    times = {library: [] for library in mains}
    for number in range(rounds + 1):
        for library, main in mains.items():
            spent = seconds(main, arguments, clock)
            if number:
                times[library].append(spent)
    return times


def main():
    """Measure and print."""
    options = parser(__doc__.splitlines()[0], 7).parse_args()
    clock, measure = clock_of(options, libraries(options))
    print(measure)
    for title, (name, arguments) in PROGRAMS.items():
        arguments = [*arguments, "--device", options.device]
        times = compare(name, arguments, options.rounds, clock)
        value = median(a / b for a, b in zip(times["devtensor"], times["torch"], strict=True))
        both = "  ".join(f"{library} {median(spent):7.3f} s" for library, spent in times.items())
        verdict = "within" if value <= TARGET else "ABOVE"
        print(f"{title:28}{both}  {value:5.2f} x torch  {verdict} {TARGET:g}", flush=True)


if __name__ == "__main__":
    main()
