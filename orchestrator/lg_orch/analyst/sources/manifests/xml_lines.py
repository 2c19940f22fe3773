"""XML with line numbers, read by a parser that refuses document types: no entity is ever declared or expanded."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

_MAX_DEPTH = 40


class XmlRefusedError(ValueError):
    """The document is not well-formed, declares a document type, or nests too deeply; the message says which."""


@dataclass(kw_only=True)
class Element:
    """One element: its name without namespace, its own text, its children, the line of its start tag."""

    name: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, *path: str) -> Element | None:
        """Return the first element at this path below, or None."""
        found = self.all(*path)
        return found[0] if found else None

    def all(self, *path: str) -> list[Element]:
        """Return every element at this path below, in order."""
        level = [self]
        for name in path:
            level = [child for element in level for child in element.children if child.name == name]
        return level


def parse_xml(text: str) -> Element:
    """Return the root element. Raises `XmlRefusedError`.

    Not covered: a very long document is not refused here; the reader of the file limits its size.
    """
    parser = expat.ParserCreate("UTF-8")
    top = Element(name="", line=0)
    stack = [top]

    def start(name: str, _attributes: dict[str, str]) -> None:
        if len(stack) > _MAX_DEPTH:
            raise XmlRefusedError(f"nests deeper than {_MAX_DEPTH} elements")
        element = Element(name=name.rpartition(":")[2], line=parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def characters(data: str) -> None:
        stack[-1].text += data

    def doctype(*_: object) -> None:
        raise XmlRefusedError("declares a document type, which is not read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        # The text was decoded already: the encoding it declares no longer applies, the one given above does.
        parser.Parse(text.removeprefix("\ufeff").encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise XmlRefusedError(f"is not well-formed XML ({error})") from error
    return top.children[0]
