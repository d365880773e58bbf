"""Reports versions, the backends that are installed, their devices, and what is missing."""

from __future__ import annotations

import platform
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import devtensor as dt
from devtensor.commands.selftest import works

GROUP = "devtensor.backends"
CURES = {
    "cuda": "pip install 'devtensor[cuda13]' (or cuda12, as nvidia-smi says)",
    "xpu": "pip install 'devtensor[xpu]'",
}
"""What makes a backend of ours work whose library is not installed."""


def version() -> str:
    """The version as text."""
    return f"devtensor {dt.__version__}"


def report() -> str:
    """The whole report."""
    rows = [
        ("devtensor", f"{dt.__version__}, {Path(dt.__file__).parent}"),
        (
            "Python",
            f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}",
        ),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    for point in points:
        rows.append(("", ""))
        rows.extend(backend(point))
    if not points:
        rows += [
            ("", ""),
            ("backends", "none: devtensor is not installed; run pip install -e . in its folder"),
        ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {what}".rstrip() for name, what in rows)


def backend(point: EntryPoint) -> list[tuple[str, str]]:
    """What is to be said about one backend."""
    name, place = f"device {point.name}", point.value
    try:
        served: Any = dt.device(point.name).backend
        devices = devices_of(served)
    except Exception as error:  # a library may fail in any way while it looks for its devices
        reason = " ".join(str(error).split()) or type(error).__name__
        rows = [(name, f"not usable: {reason}")]
        if isinstance(error, ImportError):
            rows.append(("  to cure it", CURES.get(point.name, f"see the package of {place}")))
        return rows
    rows = [(name, place if devices else f"no device found ({place})")]
    told = devices | versions(served) | details(point)
    return rows + [(f"  {what}", text) for what, text in told.items()]


def devices_of(served: Any) -> dict[str, str]:
    """The devices of a kind: what each is called, its memory, and whether it can add up."""
    if served.host:
        return {served.kind: f"the memory of this machine, one operation tried: {works('cpu')}"}
    if not served.data:
        return {served.kind: "shapes, types and strides, without memory"}
    found = {}
    for index in range(served.count()):
        free, total = served.memory_info(index)
        memory = f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} free" if total else "memory unknown"
        device = f"{served.kind}:{index}"
        name = served.properties(index)["name"]
        found[device] = f"{name}, {memory}, one operation tried: {works(device)}"
    return found


def versions(served: Any) -> dict[str, str]:
    """The versions of the libraries whose arrays a backend takes as its own."""
    found = {name: sys.modules.get(name) for name in served.packages}
    return {
        name: str(getattr(module, "__version__", "?")) for name, module in found.items() if module
    }


def details(point: EntryPoint) -> dict[str, str]:
    """What a backend's own module `about` says, if it has one."""
    package = point.value.partition(":")[0]
    try:
        module = import_module(f"{package}.about")
    except ModuleNotFoundError as error:
        if error.name not in (f"{package}.about", package):
            raise
        return {}
    told: dict[str, str] = module.about()
    return told
