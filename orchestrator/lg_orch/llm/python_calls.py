"""Reads calls that a model wrote in Python's notation: `[read_file(path="a.py"), search(pattern="x")]`.

The text is parsed, never run. Only calls of a name with literal keyword arguments, or with one dictionary of them,
are taken.
"""

from __future__ import annotations

import ast
from typing import Any

from lg_orch.llm.replies import ReplyCall

MAX_CHARS = 20_000
"""Characters that are parsed; longer texts hold no calls."""
_UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def python_value(text: str) -> Any:
    """The value of a literal, such as a dictionary with single quotes; `None` where the text is none."""
    if len(text) > MAX_CHARS or text[:1] not in ("{", "["):
        return None
    try:
        return ast.literal_eval(text)
    except _UNREADABLE:
        return None


def python_calls(text: str) -> list[ReplyCall]:
    """The calls of a text that is one call, a list of calls, or `print(…)` around them; else none."""
    if len(text) > MAX_CHARS or text[-1:] not in (")", "]"):
        return []
    try:
        tree = ast.parse(text, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [_without_print(tree)]
        calls = [_call(node) for node in nodes]
    except _UNREADABLE:
        return []
    return [call for call in calls if call is not None] if None not in calls else []


def _without_print(node: ast.expr) -> ast.expr:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and len(node.args) == 1
    ):
        return node.args[0]
    return node


def _call(node: ast.expr) -> ReplyCall | None:
    if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
        return None
    given = ast.literal_eval(node.args[0]) if len(node.args) == 1 and not node.keywords else {}
    if not isinstance(given, dict) or len(node.args) > 1 or (node.args and node.keywords):
        return None
    name = ast.unparse(node.func)
    if not isinstance(node.func, ast.Name | ast.Attribute) or not name.replace(".", "_").isidentifier():
        return None
    values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    tool = name.removeprefix("functions.").removesuffix(".call")
    return ReplyCall(tool=tool, input=values | {str(key): value for key, value in given.items()})
