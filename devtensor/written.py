"""The source of the fast functions; `devtensor.fast` compiles them and gives them their globals."""

from __future__ import annotations

from collections.abc import Iterator

from devtensor.expected import parameters
from devtensor.op import EMPTY, Op

LARGE = 1 << 17
"""Elements from which on threads may share them."""


def written(op: Op, order: tuple[int, ...] | None = None) -> Iterator[str]:
    """The source of an operation's function, line by line.

    Parameters
    ----------
    op : Op
    order : tuple of int, optional
        For an operator: the order in which it is given the inputs. The first is then a tensor.
    """
    inputs, count = op.inputs, len(op.inputs)
    params = list(op.params)
    numbers = op.promotes is not None and count == 2
    given: tuple[str, ...] = inputs
    if order is not None:
        signature = [inputs[i] for i in order]
    elif op.varargs is not None:
        signature = [*(f"{n}=MISSING" for n in inputs), f"*{op.varargs}", "**_named"]
        given = (*inputs, *params)
    else:
        signature = [f"{n}={'None' if n in op.defaults else 'MISSING'}" for n in inputs]
        signature += [f"{n}=default_{n}" for n in op.positional]
        # A star would do what `_surplus` does, and make each call slower by a tenth.
        signature.append("_surplus=MISSING")
        signature += [f"{n}=default_{n}" for n in params if n not in op.positional]
        signature.append("out=None")
        signature += [f"{name}=MISSING" for name in op.others]
        given = (*inputs, *params, *op.others, "out")
    shown = ", ".join(f"{n!r}: {n}" for n in given)
    slow = f"return _slow({{{shown}}})"
    lead = inputs[order[0] if order else 0]
    yield f"def call({', '.join(signature)}):"
    if op.varargs is not None and order is None:
        name = op.varargs
        shown = ", ".join(f"{n!r}: {n}" for n in inputs)
        yield f" if _named or not {name}:"
        yield f"  if {name}: return _general({', '.join(inputs)}, *{name}, **_named)"
        yield f"  if [*_named] != [{name!r}]: return _slow({{{shown}, **_named}})"
        yield f"  {name} = _named[{name!r}],"
        yield f" if len({name}) == 1 and not hasattr({name}[0], '__index__'): {name} = {name}[0]"
    elif order is None:
        shown = ", ".join((*inputs, *op.positional, "_surplus"))
        pairs = [f"({n}, default_{n})" for n in params if n not in op.positional]
        pairs += ["(out, None)", *(f"({n}, MISSING)" for n in op.others)]
        more = f"*[v for v, d in ({', '.join(pairs)},) if v is not d]"
        yield f" if _surplus is not MISSING: return _general({shown}, {more})"
        asked = ["out is not None"]
        # Another name of an input leaves the input itself missing, which is seen below.
        asked += [f"{a} is not MISSING" for a, n in op.others.items() if n in params]
        asked += [f"{n} is MISSING" for n in params if op.params[n] is EMPTY]
        yield f" if {' or '.join(asked)}: {slow}"
    yield f" if {lead}.__class__ is not Tensor and not _plain[{lead}.__class__]: {slow}"
    k = inputs.index(lead)
    yield f" _a{k} = {lead}._array; _d = {lead}._device; _t = _a{k}.dtype"
    if op.accepts is not None or op.promotes is not None or op.rules:  # while numbers are numbers
        yield f" if _t is not _taken and not _take(_t): {slow}"
    for i, name in enumerate(inputs):
        if name == lead:
            continue
        either = "if"
        if name in op.defaults:
            yield f" if {name} is None: _a{i} = None"
            either = "elif"
        typed = op.promotes is not None if op.numbers is None else name in op.numbers
        if typed and count > 1:
            yield f" {either} (_c := {name}.__class__) is float or _c is int:"
            yield f"  _x = _scalars.get(({name}, _c, _t, _d))"
            yield "  if _x is None:"
            yield f"   _x = _scalar({name}, _t, _d)"
            yield f"   if _x is None: {slow}"
            yield f"  {name} = _x; _a{i} = _x._array"
            yield f" elif _c is not Tensor and not _plain[_c]: {slow}"
            yield " else:"
        else:
            yield f" {either} not _plain[{name}.__class__]: {slow}"
            yield " else:"
        yield f"  _a{i} = {name}._array"
        same = f" or _a{i}.dtype is not _t" if op.promotes is not None else ""
        yield f"  if {name}._device is not _d{same}: {slow}"
    yield " _m = _mode()"
    yield " _tracked = 0"
    yield " if _m is RECORD:"
    for i, name in enumerate(inputs):
        bit = 1 << i
        if name in op.defaults:
            yield f"  _e{i} = None if {name} is None else {name}._node if {name}._alias is None else {name}._alias.live({name})"  # noqa: E501
        else:
            yield f"  _e{i} = {name}._node if {name}._alias is None else {name}._alias.live({name})"
        yield f"  if _e{i} is not None:"
        yield f"   if _e{i} is INFERENCE: {slow}"
        yield f"   _tracked {'|=' if count > 1 else '='} {bit}"
    yield "  _o_node = None"
    yield " elif _m.plain and _m.thread == _get_ident(): _o_node = _m.edge"
    yield f" else: {slow}"
    arguments = [f"_a{i}" for i in range(count)]
    typed_by = [name for name in params if "dtype" in name]
    arguments += [
        f"{n}=None if {n} is None else _typed({n}, _d)" if n in typed_by else f"{n}={n}"
        for n in params
    ]
    yield " _k = _here"
    yield " if _k[0] is not _d: _k = _use_device(_d)"
    plain = f"_k({', '.join(f'_a{i}' for i in range(count))})"
    deep = ""
    if params:
        yield f" if {' and '.join(f'{n} is default_{n}' for n in params)}:"
        deep = " "
    yield f"{deep} _k = _k[{f'2 if _a{k}.size < {LARGE} else 3' if op.elementwise else '2'}]"
    if op.elementwise and order is None:
        yield f"{deep} if _o_node is INFERENCE and _a{k}.size > 8191 and _refs({lead}) == DYING and {lead}._node is INFERENCE and {lead}._alias is None:"  # noqa: E501
        yield f"{deep}  _r = _reuse(_k, {lead}, _d, ({', '.join(arguments[:count])},))"
        yield f"{deep}  if _r is not None:"
        yield f"{deep}   {lead}._array = None"
        yield f"{deep}   return _wrap(_r, _d, INFERENCE)"
    yield f"{deep} try: _r = {plain}"
    yield f"{deep} except Exception: {slow}"
    if params:
        yield " else:"
        flags = [name for name, (kind, _) in parameters(op).items() if kind == "bool"]
        for name in flags:
            yield f"  if {name} is not True and {name} is not False: {slow}"
        yield f"  try: _r = _k[1]({', '.join(arguments)})"
        yield f"  except Exception: {slow}"  # to be said in other words
    packed = "{" + ", ".join(f"{n!r}: {n}" for n in params) + "}" if params else "PARAMS"
    links = [f"_e{i}" for i in range(count)] + list(inputs) + ["_r"]
    if op.outputs is not None:
        yield " _o = _several(_r, _d, _o_node)"
        if op.rules:
            yield " if _tracked:"
            yield "  _plan = _plans[_tracked]"
            yield "  if _plan is not None:"
            yield "   _r = [None if x is None else x._array for x in _o]"
            yield f"   _follow(_plan, _plan.link({', '.join(links)}), _o, _d, {packed})"
        yield " return _op.packed(*_o)"
        return
    yield f" if _r.__class__ is not _a{k}.__class__: _r = _d.backend.xp.asarray(_r)"
    yield " _o = _new()"
    yield " _o._array = _r; _o._device = _d; _o._node = _o_node; _o._alias = _o._rest = None"
    if op.view:
        if op.view == "maybe":
            yield f" if _d.backend.shares(_r, _a{k}):"
        else:
            yield " if True:"
        yield f"  if {lead}._node is not None and {lead}._node.inference:"
        yield "   _o._node = INFERENCE"  # it is free of records, as its base
        yield "   return _o"
        yield f"  _p = {packed}"
        yield f"  _viewed(_o, {lead}, _op, _p, None, _m.name); _o._node = None"
        yield f" else: _p = {packed}"
        packed = "_p"
    if op.rules:
        check = " and _tracks[_r.dtype]" if op.promotes is None or typed_by else ""
        uses = packed if op.view or not params else f"{packed} if _plan.uses_params else PARAMS"
        yield f" if _tracked{check}:"
        shape = "_r.shape"
        if op.elementwise and count == 1:
            shape = f"_e{k}.shape"  # an operand's, if known to be the same, costs and holds nothing
        elif op.elementwise and numbers and (op.numbers is None or inputs[1 - k] in op.numbers):
            shape += (
                f" if _tracked != {1 << k} or (_c is not float and _c is not int) else _e{k}.shape"
            )
        if count > 3:
            yield "  _plan = _plans[_tracked]"
            yield "  if _plan is None: return _o"
            yield f"  _links = _plan.link({', '.join(links)})"
        else:  # the few ways to be tracked, each with its plan
            for tracked in range((1 << count) - 1, 0, -1):
                plan = op.plan(tuple([bool(tracked >> i & 1) for i in range(count)]))
                yield f"  {'if' if tracked == (1 << count) - 1 else 'elif'} _tracked == {tracked}:"
                if plan is None:
                    yield "   return _o"
                else:
                    yield f"   _plan = _plans[{tracked}]; _links = {plan.links(links)}"
        yield "  _n = Call(); _n.plan = _plan; _n.links = _links"
        yield f"  _n.clock = _tick(); _n.shape = {shape}; _n.device = _d; _n.extra = None"
        yield f"  _n.params = {uses}"
        yield "  _o._node = _n"
    yield " return _o"
