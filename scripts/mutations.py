"""Small faults made on purpose: each `Mutant` is one changed place in the text of a Python module.

`mutate.py` asks whether a test notices them. Not changed are annotations, docstrings, imports and messages: a fault
there is nothing that a test of behaviour should notice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
SIGNS: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.FloorDiv: "*"}
WORDS = 3
"""A text with so many spaces is a message or a statement of SQL, which breaks by any change."""
QUIET = ("log", "logger", "warnings")
"""Names that a call begins with whose loss nobody needs to notice."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """The bytes of a module from `start` to `end` are replaced by `text`."""

    line: int
    kind: str
    start: int
    end: int
    text: bytes

    def applied(self, source: bytes) -> bytes:
        """Return the module with the fault in it."""
        return source[: self.start] + self.text + source[self.end :]


def mutants(source: bytes) -> list[Mutant]:
    """Return every mutant of a module that can still be read, in the order of its lines."""
    found = sorted(set(_Finder(source).found(ast.parse(source))), key=lambda mutant: (mutant.start, mutant.kind))
    return [mutant for mutant in found if _is_python(mutant.applied(source))]


def _is_python(source: bytes) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Finder:
    """Walks a module; knows where in the text a node stands."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def found(self, node: ast.AST) -> Iterator[Mutant]:
        """Return the mutants of a node and of all below it."""
        yield from self._of(node)
        if isinstance(node, ast.Raise):
            return  # what an error says
        for name, field in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for child in field if isinstance(field, list) else [field]:
                if isinstance(child, ast.AST) and not _is_left_alone(child):
                    yield from self.found(child)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.stmt):
            yield from self._of_statement(node)
        if isinstance(node, ast.expr):
            yield from self._of_expression(node)
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield self._mutant(node.test, "negate condition", f"(not ({self._text(node.test)}))")
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield self._mutant(test, "negate filter", f"(not ({self._text(test)}))")

    def _of_statement(self, node: ast.stmt) -> Iterator[Mutant]:
        if isinstance(node, ast.Raise | ast.AugAssign) or (isinstance(node, ast.Expr) and _is_work(node.value)):
            yield self._mutant(node, "drop statement", "pass")
        elif isinstance(node, ast.Continue):
            yield self._mutant(node, "break for continue", "break")
        elif isinstance(node, ast.Break):
            yield self._mutant(node, "continue for break", "continue")
        elif isinstance(node, ast.Return) and node.value is not None and not _is_empty(node.value):
            yield self._mutant(node, "return nothing", "return None")

    def _of_expression(self, node: ast.expr) -> Iterator[Mutant]:
        if isinstance(node, ast.BoolOp):
            joint = " or " if isinstance(node.op, ast.And) else " and "
            text = joint.join(f"({self._text(value)})" for value in node.values)
            yield self._mutant(node, "swap and/or", f"({text})")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield self._mutant(node, "remove not", f"({self._text(node.operand)})")
        elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
            text = f"(({self._text(node.left)}) {SIGNS[type(node.op)]} ({self._text(node.right)}))"
            yield self._mutant(node, "swap arithmetic", text)
        elif isinstance(node, ast.Compare):
            yield from self._of_comparison(node)
        elif isinstance(node, ast.Constant):
            yield from self._of_constant(node)

    def _of_comparison(self, node: ast.Compare) -> Iterator[Mutant]:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            start, end = self._place(left)[1], self._place(right)[0]
            before, after = _bare(self._source[start:end])
            text = b"%b %b %b" % (before, COMPARISONS[type(operator)].encode(), after)
            yield Mutant(line=node.lineno, kind="swap comparison", start=start, end=end, text=text)
            left = right

    def _of_constant(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        if isinstance(value, bool):
            yield self._mutant(node, "other constant", str(not value))
        elif isinstance(value, int):
            yield self._mutant(node, "off by one", f"{value + 1}")
        elif isinstance(value, float):
            yield self._mutant(node, "other constant", f"{value + 1.0}")
        elif isinstance(value, str) and value.count(" ") < WORDS:
            yield self._mutant(node, "other constant", repr(f"{value}X"))
        elif isinstance(value, bytes):
            yield self._mutant(node, "other constant", repr(value + b"X"))

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[end_line - 1] + end_column

    def _text(self, node: ast.expr) -> str:
        start, end = self._place(node)
        return self._source[start:end].decode()

    def _mutant(self, node: ast.expr | ast.stmt, kind: str, text: str) -> Mutant:
        start, end = self._place(node)
        return Mutant(line=node.lineno, kind=kind, start=start, end=end, text=text.encode())


def _bare(between: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and after an operator: the parentheses of its sides."""
    return b")" * between.count(b")"), b"(" * between.count(b"(")


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _is_work(value: ast.expr) -> bool:
    """Tell whether an expression that stands alone is a call whose loss should be noticed."""
    call = value.value if isinstance(value, ast.Await) else value
    return isinstance(call, ast.Call) and not ast.unparse(call.func).lstrip("_").lower().startswith(QUIET)


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    return isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr)
