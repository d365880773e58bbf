"""Makes the reference pages: operations from the catalogue, the rest from ``__all__``."""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

import devtensor as dt
from devtensor.op import catalogue
from devtensor_numpy import namespace

MODULES = {
    "tensor": (
        "Tensors",
        None,
        "Tensors, their types and devices, and the modes that they are made in.",
    ),
    "autograd": ("Derivatives", "devtensor.autograd", "The tape and the ways back through it."),
    "autograd.graph": ("The graph", "devtensor.autograd.graph", ""),
    "autograd.functional": ("Jacobians and Hessians", "devtensor.autograd.functional", ""),
    "autograd.forward_ad": ("Dual tensors", "devtensor.autograd.forward_ad", ""),
    "func": ("Functions of functions", "devtensor.func", "Transforms; see :doc:`/func`."),
    "nn": ("Layers", "devtensor.nn", "Layers and losses as modules."),
    "nn.init": ("Initial values", "devtensor.nn.init", ""),
    "nn.utils": ("Tools for networks", "devtensor.nn.utils", ""),
    "optim": ("Optimizers", "devtensor.optim", ""),
    "optim.lr_scheduler": ("Learning rates", "devtensor.optim.lr_scheduler", ""),
    "utils.data": ("Data loading", "devtensor.utils.data", ""),
    "nn.attention.flex_attention": (
        "Attention with scores of one's own",
        "devtensor.nn.attention.flex_attention",
        "",
    ),
    "utils.checkpoint": ("Checkpointing", "devtensor.utils.checkpoint", ""),
    "amp": ("Mixed precision", "devtensor.amp", ""),
    "array_api": ("The array API standard", "devtensor.array_api", ""),
    "array_api.linalg": ("The standard's linear algebra", "devtensor.array_api.linalg", ""),
    "array_api.fft": ("The standard's Fourier transforms", "devtensor.array_api.fft", ""),
    "profiler": ("The profiler", "devtensor.profiler", ""),
    "accelerator": ("Accelerators", "devtensor.accelerator", ""),
    "cuda": ("CUDA devices", "devtensor.cuda", ""),
    "xpu": ("XPU devices", "devtensor.xpu", ""),
    "distributions": (
        "Distributions",
        "devtensor.distributions",
        "Probability distributions; those of PyTorch, by its names.",
    ),
    "distributions.transforms": ("Changes of variables", "devtensor.distributions.transforms", ""),
    "masked": ("Masked tensors", "devtensor.masked", ""),
    "fakequantize": ("Numbers of few bits", "devtensor.fakequantize", ""),
    "_lobpcg": ("Eigenpairs of large matrices", "devtensor._lobpcg", ""),
    "sparse": ("Sparse tensors by name", "devtensor.sparse", ""),
    "signal.windows": ("Windows", "devtensor.signal.windows", ""),
    "random": ("Random numbers", "devtensor.random", ""),
    "serialization": ("Saving and loading", "devtensor.serialization", ""),
    "datasets": ("Data sets", "devtensor.datasets", ""),
}
"""Pages of the reference: title, module, what stands above."""

CORE = (
    "Tensor", "dtype", "device", "Generator", "Size", "no_grad", "enable_grad", "set_grad_enabled",
    "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "ledger", "tensor",
    "as_tensor", "from_numpy", "from_dlpack", "promote_types", "can_cast", "get_default_dtype",
    "set_default_dtype", "get_default_device", "set_default_device", "set_printoptions",
)  # fmt: skip
HOMES = {"": "devtensor", "nn": "devtensor.nn.functional", "linalg": "devtensor.linalg"}
WITH_MEMBERS = (
    "Distribution", "Function", "Generator", "ledger", "Module", "Optimizer", "Tensor", "Transform",
)  # fmt: skip
"""Classes whose methods are shown; those of others are their base's."""


def titled(text, mark="="):
    """A title."""
    return f"{text}\n{mark * len(text)}\n\n"


def family(entry):
    """The file of the catalogue in which an operation is defined."""
    return entry.function.__module__.rpartition(".")[2]


def operations():
    """A page to each family of public operations."""
    families = {}
    for entry in catalogue.values():
        if entry.public:
            families.setdefault(family(entry), []).append(entry)
    for name, entries in sorted(families.items()):
        module = import_module(f"devtensor.ops.{name}")
        page = titled(name.replace("_", " ").capitalize())
        page += (inspect.getdoc(module) or "").split("\n\n")[0] + "\n\n"
        yield name, page + "".join(operation(e) for e in sorted(entries, key=lambda e: e.name))


def operation(entry):
    """What is said about an operation: its docstring, and what follows from its definition."""
    home = HOMES.get(entry.home, f"devtensor.{entry.home}")
    if not hasattr(import_module(home), entry.name):
        return ""
    notes = []
    if entry.aliases:
        notes.append(f"Also called {', '.join(f'``{name}``' for name in entry.aliases)}.")
    op = entry.op
    if op is not None:
        if op.view is True:
            notes.append("A view: the result shares the memory of the input.")
        if op.rules:
            notes.append(saving(op))
        if op.inplace and op.outputs is None:
            notes.append(f"In place: ``{entry.name}_``.")
    text = f".. autofunction:: {home}.{entry.name}\n\n"
    if notes:
        text += "   " + " ".join(notes) + "\n\n"
    return text


def saving(op):
    """What an operation saves for which gradient."""
    parts = []
    for name, asked in op.rule_names.items():
        kept = [
            a
            for a in asked
            if a in op.inputs or a == "out" or (isinstance(op.outputs, tuple) and a in op.outputs)
        ]
        what = "all gradients" if name == "together" else f"the gradient of ``{name}``"
        parts.append(f"for {what} " + (", ".join(f"``{k}``" for k in kept) or "nothing"))
    return "Saves " + "; ".join(parts) + "."


def held():
    """What the generic tests hold of each operation, as the tests themselves say."""
    tests = Path(__file__).parent.parent / "tests"
    sys.path.append(str(tests))
    try:
        said = import_module("held")
    finally:
        sys.path.remove(str(tests))
    page = titled("What is held")
    page += (
        "Generic tests try the examples of every operation. Their examples and exceptions are read "
        "here, so the table says what is run:\n\n"
    )
    for law in said.LAWS:
        page += (
            f"* {', '.join(law.columns)} on {', '.join(law.devices)}: {law.words} "
            f"(``{law.test.__name__}``)\n"
        )
    page += (
        "\n``strict`` is array-api-strict, ``cuda`` CuPy on the stand-in for CUDA. Numbers such as "
        "1/2 are examples that are tried and all that there are; a dash means that there is "
        "nothing to hold. What else is tried of an operation has tests of its own.\n\n"
        ".. list-table::\n   :header-rows: 1\n\n"
    )
    page += line(["operation", *said.COLUMNS, "why not"])
    for row in said.rows():
        cells = [said.shown(row, column) for column in said.COLUMNS]
        page += line([f"``{row.name}``", *cells, "; ".join(row.notes)])
    return page


def line(cells):
    """A row of a list of cells."""
    return "".join(
        f"   {'*' if first else ' '} - {cell}\n"
        for first, cell in zip([True] + [False] * len(cells), cells, strict=False)
    )


def members(name, module, intro):
    """The public names of a module."""
    if module is None:
        names, home = CORE, dt
        module = "devtensor"
    else:
        home = import_module(module)
        names = getattr(home, "__all__", ())
    page = intro + "\n\n" if intro else (inspect.getdoc(home) or "").split("\n\n")[0] + "\n\n"
    page += f".. currentmodule:: {module}\n\n"
    inner = [m for _, m, _ in MODULES.values() if m and m.startswith(f"{module}.")]
    elsewhere = {one for m in inner for one in getattr(import_module(m), "__all__", ())}
    for one in names:
        thing = getattr(home, one)
        if home is not dt and one in elsewhere:
            continue
        if inspect.ismodule(thing) or (home is not dt and getattr(dt, one, None) is thing):
            continue  # it has a place elsewhere
        if inspect.isclass(thing):
            page += f".. autoclass:: {one}\n"
            if one in WITH_MEMBERS:
                page += "   :members:\n"
            page += "\n"
        elif callable(thing):
            page += f".. autofunction:: {one}\n\n"
    return page


def extras():
    """The names that a namespace needs beside the standard, with what they do."""
    names = namespace.EXTRAS.split()
    return "".join(
        f"``{name}{shown_signature(getattr(namespace, name))}``\n"
        f"    {(inspect.getdoc(getattr(namespace, name)) or '').splitlines()[0]}\n\n"
        for name in sorted(names)
    )


def shown_signature(function):
    """A function's parameters without their types; universal functions take one array."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return "(x)"
    return str(inspect.Signature([p.replace(annotation=p.empty) for p in parameters]))


def from_markdown(text):
    """The little Markdown of our own files as reStructuredText."""
    lines, code = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            code = not code
            lines += ["", "::", ""] if code else [""]
        elif code:
            lines.append(f"    {line}" if line else "")
        elif line.startswith("#"):
            mark, _, title = line.partition(" ")
            lines += [title, "=-~"[len(mark) - 1] * len(title)]
        else:
            line = re.sub(r"`([^`]+)`", r"``\1``", line)
            lines.append(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", line))
    return "\n".join(lines) + "\n"


def write(source):
    """Write all pages below ``docs/generated``, those that have changed only."""
    folder = Path(source, "generated")
    folder.mkdir(exist_ok=True)
    pages = {f"op-{name}": text for name, text in operations()}
    index = titled("Operations")
    index += (
        f"Made from the catalogue, which has {sum(e.public for e in catalogue.values())} public "
        "operations. What an operation saves for backward is what its gradient rules ask for by "
        "name.\n\n.. toctree::\n\n" + "".join(f"   {name}\n" for name in sorted(pages))
    )
    pages["operations"] = index
    pages["held"] = held()
    for name, (title, module, intro) in MODULES.items():
        pages[name] = titled(title) + members(name, module, intro)
    for name in ("CHANGELOG", "CONTRIBUTING"):
        text = Path(source).parent.joinpath(f"{name}.md").read_text(encoding="utf-8")
        pages[name.lower()] = from_markdown(text)
    files = {f"{name}.rst": text for name, text in pages.items()}
    files["extras.inc"] = extras()
    for name, text in files.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
    for file in folder.iterdir():
        if file.name not in files:
            file.unlink()
