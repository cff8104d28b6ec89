"""Recorder of an order's stops: Python imports this module at the start of every process.

It is active in processes with ORDER_STOPS and ORDER_RECORD in their environment. Each function
that ORDER_STOPS lists ("path: function", one a line) then appends a line to the file ORDER_RECORD
when it is called; an async generator does so whenever it yields an item. The recorder changes the
syntax tree of the listed modules as they are imported, so all other code runs as it is.

    {"time": 1790000000.25, "stop": "workers/inbox.py: append_events"}
"""

import ast
import builtins
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).parents[3]
_RECORD = "_record_stop_of_order"


class StopFinder(importlib.abc.MetaPathFinder):
    """Has the modules with stops loaded by a loader that records.

    Args:
        stops: the function names of each file, by its absolute path.
    """

    def __init__(self, stops: dict[str, list[str]]) -> None:
        self._stops = stops

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin not in self._stops:
            return None
        spec.loader = StopLoader(fullname, spec.origin, self._stops[spec.origin])
        return spec


class StopLoader(importlib.machinery.SourceFileLoader):
    """Loads a module whose listed functions record their calls."""

    def __init__(self, fullname: str, path: str, names: list[str]) -> None:
        super().__init__(fullname, path)
        self._names = names

    def get_code(self, fullname: str) -> CodeType:
        """The changed module, compiled anew: the cached bytecode is that of the unchanged one."""
        tree = ast.parse(self.get_data(self.path), self.path)
        for node in functions(tree, self._names):
            stop = f"{Path(self.path).relative_to(ROOT)}: {node.name}"
            _record_calls(node, stop)
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, names: Sequence[str]) -> list[Function]:
    """The functions and methods of these names."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names
    ]


def _record_calls(function: Function, stop: str) -> None:
    yields = [node for node in ast.walk(function) if isinstance(node, ast.Yield)]
    if yields:
        for node in yields:
            node.value = _call(stop, node.value)
        return
    has_docstring = ast.get_docstring(function) is not None
    function.body.insert(int(has_docstring), ast.Expr(_call(stop, None)))


def _call(stop: str, value: ast.expr | None) -> ast.Call:
    """`_record_stop_of_order(stop, value)`, which returns the value."""
    arguments = [ast.Constant(stop), value or ast.Constant(None)]
    return ast.Call(ast.Name(_RECORD, ast.Load()), arguments, [])


def _recorder(file: str) -> Any:
    def record(stop: str, value: Any) -> Any:
        line = json.dumps({"time": time.time(), "stop": stop}) + "\n"
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, line.encode())  # one write: lines of several processes do not mix
        os.close(handle)
        return value

    return record


def _install(stops: str, file: str) -> None:
    names: dict[str, list[str]] = {}
    for stop in stops.splitlines():
        path, _, name = stop.partition(": ")
        names.setdefault(str(ROOT / path), []).append(name)
    setattr(builtins, _RECORD, _recorder(file))
    sys.meta_path.insert(0, StopFinder(names))


if "ORDER_STOPS" in os.environ and "ORDER_RECORD" in os.environ:
    _install(os.environ["ORDER_STOPS"], os.environ["ORDER_RECORD"])
