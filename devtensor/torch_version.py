"""The version of PyTorch that programs ask for, which compares as versions do."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["TorchVersion"]

FORM = re.compile(
    r"\s*v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<number>\d*))?"
    r"(?P<post>-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?"
    r"(?P<dev>[-_.]?dev[-_.]?\d*)?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*",
    re.IGNORECASE,
)
"""PEP 440's versions."""


def key(text: str) -> tuple[Any, ...] | None:
    """What versions are ordered by; None for a text that is none."""
    found = FORM.fullmatch(text)
    if found is None:
        return None
    release = [int(part) for part in found["release"].split(".")]
    while len(release) > 1 and not release[-1]:
        release.pop()

    def number(name: str) -> int | None:
        part = found[name]
        return None if part is None else int(re.sub(r"\D", "", part) or 0)

    pre, post, dev = found["pre"], number("post"), number("dev")
    if pre is not None:
        kind = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
        before: tuple[Any, ...] = (1, kind.get(pre.lower(), pre.lower()), int(found["number"] or 0))
    else:  # a version in development comes before all that lead to it
        before = (0,) if dev is not None and post is None else (2,)
    local = re.split(r"[-_.]", (found["local"] or "").lower())
    parts = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in local if part]
    return (
        int(found["epoch"] or 0), release, before, -1 if post is None else post,
        float("inf") if dev is None else dev, parts,
    )  # fmt: skip


class TorchVersion(str):
    """A text that is compared as a version: with another one, or with a tuple of numbers.

    A text that is no version is compared as a text.

    Examples
    --------
    >>> from devtensor.torch_version import TorchVersion
    >>> TorchVersion("2.13.0+cpu") > "2.9", TorchVersion("2.13.0") >= (2, 13)
    (True, True)
    """

    __slots__ = ()
    __hash__ = str.__hash__


def _comparison(name: str) -> Callable[[Any, Any], Any]:
    def call(self: TorchVersion, cmp: Any) -> Any:
        listed = isinstance(cmp, Iterable) and not isinstance(cmp, str)
        # What is no list may be an object of the package `packaging`.
        mine, theirs = key(str(self)), key(".".join(map(str, cmp)) if listed else str(cmp))
        if mine is None or theirs is None:
            return getattr(str, name)(str(self), cmp)
        return getattr(operator, name)(mine, theirs)

    call.__name__ = name
    return call


for _name in ("__eq__", "__ge__", "__gt__", "__le__", "__lt__"):
    setattr(TorchVersion, _name, _comparison(_name))
