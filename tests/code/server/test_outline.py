"""What one file defines, by the tool `outline`."""

from __future__ import annotations

from pathlib import Path

import anyio

from tests.code.helpers import code_client
from tests.fs.helpers import write_tree

PYTHON = '''\
LIMIT = 3


@decorated
class Shape:
    """A shape."""

    sides: int = 0

    def area(self) -> float:
        def inner():
            return 1
        return inner()


async def draw(
    shape: Shape,
    *,
    colour: str = "red",
) -> None:
    ...
'''


def test_an_outline_lists_definitions_with_their_lines_and_heads(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"shapes.py": PYTHON})

    async def story() -> None:
        async with code_client(tmp_path / "tree") as client:
            answer = await client.ok("outline", path="shapes.py")
            found = [(s["name"], s["kind"], s["parent"], s["start_line"], s["end_line"]) for s in answer["symbols"]]
            assert found == [
                ("LIMIT", "variable", "", 1, 1),
                ("Shape", "class", "", 4, 13),
                ("sides", "field", "Shape", 8, 8),
                ("area", "method", "Shape", 10, 13),
                ("inner", "function", "Shape.area", 11, 12),
                ("draw", "function", "", 16, 21),
            ]
            assert answer["symbols"][1]["signature"] == "class Shape"
            assert (
                answer["symbols"][5]["signature"] == 'async def draw( shape: Shape, *, colour: str = "red", ) -> None'
            )
            assert answer["notes"] == []
            assert "  10-13 def area(self) -> float" in await client.text("outline", path="shapes.py")

    anyio.run(story)


def test_an_outline_is_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a.py": "def old(): pass\n"})

    async def story() -> None:
        async with code_client(tmp_path / "tree") as client:
            await client.ok("outline", path="a.py")
            write_tree(tmp_path / "tree", {"a.py": "def new(): pass\n"})
            answer = await client.ok("outline", path="a.py")
            assert [symbol["name"] for symbol in answer["symbols"]] == ["new"]

    anyio.run(story)


def test_a_file_without_a_grammar_is_read_by_lines_and_the_answer_says_so(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a.lua": "function greet(name)\n  print(name)\nend\n"})

    async def story() -> None:
        async with code_client(tmp_path / "tree") as client:
            answer = await client.ok("outline", path="a.lua")
            assert [symbol["name"] for symbol in answer["symbols"]] == ["greet"]
            assert answer["reader"] == "lines"
            assert "read line by line" in answer["notes"][0]

    anyio.run(story)
