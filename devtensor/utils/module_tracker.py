"""Which modules run, forth or back (``torch.utils.module_tracker``)."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from devtensor.nn._everywhere import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from devtensor.watch import Watch, step

__all__ = ["ModuleTracker"]


class ModuleTracker(Watch):
    """Knows within a block by which modules a launch was made, or what it is the way back of.

    A module that is called by none has the name of its class; those in it have their path behind
    that, as ``"Net.features.0"``.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.utils.module_tracker import ModuleTracker
    >>> layer = dt.nn.Linear(2, 2)
    >>> with ModuleTracker() as tracker:
    ...     _ = layer.register_forward_pre_hook(lambda *_: print(sorted(tracker.parents)))
    ...     _ = layer(dt.ones(2))
    ['Global', 'Linear']
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._named: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self._running: list[str] = []
        self._made_by: dict[int, frozenset[str]] = {}  # to the time when a node was made

    @property
    def parents(self) -> set[str]:
        """The modules that run, or that made what a step of the way back goes through.

        ``"Global"`` is always among them.
        """
        node = step()
        before = self._made_by.get(node.clock, ()) if node is not None else ()
        return {"Global", *self._running, *before}

    @property
    def is_bw(self) -> bool:
        """Whether a step of the way back is under way."""
        return step() is not None

    def _name(self, module: Any) -> str:
        name = self._names.setdefault(module, type(module).__name__)
        if module not in self._named:
            self._named[module] = True
            for path, inner in module.named_children():
                self._names[inner] = f"{name}.{path}"
                self._name(inner)
        return name

    def _begin(self, module: Any, args: Any) -> None:
        self._running.append(self._name(module))

    def _end(self, module: Any, args: Any, result: Any) -> None:
        self._running.pop()

    def __enter__(self) -> ModuleTracker:
        self._hooks = (
            register_module_forward_pre_hook(self._begin),
            register_module_forward_hook(self._end, always_call=True),
        )
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        self._running.clear()
        self._made_by.clear()

    def add(
        self, op: Any, inputs: Any, params: Any, outs: Any, node: Any, *_: Any, **__: Any
    ) -> None:
        """Remember by which modules a node was made."""
        if node is not None:
            self._made_by[node.clock] = frozenset(self.parents)

    def add_function(self, cls: Any, outs: Any, node: Any, mode: Any) -> None:
        """Remember it of a user's `Function`, too."""
        self.add(cls, (), {}, outs, node)
