"""Write the tables of docs/configuration.md from the settings tree, so that they cannot go out of date.

`--check` changes nothing and exits 1 when the file differs. Everything outside the two marks is written by hand.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt
from generated import main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from lg_policy.config.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
WORDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Any: "anything"}


def reference() -> str:
    """Return the reference: a table of keys for each settings table, then the commands that ship."""
    parts = ["### Top level\n", table(Settings, "")]
    for name, field in Settings.model_fields.items():
        for heading, model in tables(name, field):
            parts += [f"\n### `{heading}`\n", f"{paragraph(model.__doc__)}\n", table(model, heading)]
    parts += ["\n### Commands that ship\n", *shipped_commands()]
    return "\n".join(parts) + "\n"


def tables(name: str, field: FieldInfo) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the headings of a field's own table and of all tables below it. A model is shown where it first appears."""
    model, kind = model_of(field.annotation)
    if model is None:
        return
    heading = {"map": f"[{name}.NAME]", "list": f"[[{name}]]", "one": f"[{name}]"}[kind]
    path = heading.strip("[]")
    if name in {"models.router", "models.planner", "models.coder", "models.verifier"}:
        return
    yield heading, model
    for below, inner in model.model_fields.items():
        yield from tables(f"{path}.{inner.alias or below}", inner)


def model_of(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the settings model behind an annotation, and whether it stands alone, in a list or in a map."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, "one"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType, tuple, dict}:
        found = next((model for part in arguments if (model := model_of(part)[0])), None)
        return found, {tuple: "list", dict: "map"}.get(origin, "one")
    return None, "one"


def table(model: type[BaseModel], heading: str) -> str:
    """Return the Markdown table of a model's own keys; tables below it have their own."""
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        below, kind = model_of(field.annotation)
        if below is not None and kind == "one" and not heading.startswith("[models"):
            continue
        cells = (f"`{field.alias or name}`", value(field), default(field), paragraph(field.description))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) if len(rows) > 2 else "Only tables, below."


def paragraph(text: str | None) -> str:
    """Return a docstring as one line."""
    return " ".join((text or "").split())


def value(field: FieldInfo) -> str:
    """Say in words what may stand there."""
    bounds = [limit for limit in field.metadata if isinstance(limit, Ge | Gt)]
    return words(field.annotation, bounds)


def words(annotation: Any, bounds: list[Any]) -> str:
    """Say an annotation in words; `bounds` are the limits of a number."""
    model, kind = model_of(annotation)
    if model is not None:
        return {"one": "table", "list": "tables", "map": "tables by name"}[kind]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in WORDS:
        return WORDS[annotation] + "".join(f" over {b.gt}" if isinstance(b, Gt) else f" from {b.ge}" for b in bounds)
    if origin is Literal:
        return " or ".join(f'`"{choice}"`' for choice in arguments)
    if origin is tuple:
        return f"list of {words(arguments[0], [])}"
    if origin is dict:
        return f"table of {words(arguments[1], [])}"
    if hasattr(annotation, "__metadata__"):
        limits = [limit for data in annotation.__metadata__ for limit in getattr(data, "metadata", ())]
        return words(arguments[0], [limit for limit in limits if isinstance(limit, Ge | Gt)])
    return " or ".join(words(part, bounds) for part in arguments if part is not type(None))


def default(field: FieldInfo) -> str:
    """Return the default as TOML would write it; `none` where it is left out, `required` where one must be given."""
    if field.is_required():
        return "required"
    found = field.get_default(call_default_factory=True)
    if found is None or isinstance(found, BaseModel):
        return "none"
    if isinstance(found, dict) and found and model_of(field.annotation)[0]:
        return "see below"
    return f"`{toml(found)}`"


def toml(item: Any) -> str:
    """Write a plain value as TOML."""
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, tuple | list):
        return "[" + ", ".join(toml(one) for one in item) + "]"
    if isinstance(item, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in item.items()) + "}"
    if isinstance(item, int | float):
        return f"{item:_}" if isinstance(item, int) and abs(item) >= 10_000 else str(item)
    return f'"{item}"'


def shipped_commands() -> list[str]:
    """Return a table of the command templates that ship."""
    rows = [
        "What arguments each allows: `lg-gateway call exec__list_commands`; see [commands.md](commands.md).",
        "",
        "| name | what it does | looked up in | |",
        "| --- | --- | --- | --- |",
    ]
    for name, template in DEFAULT_COMMANDS.items():
        notes = [] if template.get("enabled", True) else ["off by default"]
        alone = template.get("needs_sandbox", template.get("from") == "project")
        notes += ["needs the sandbox"] if alone else []
        rows.append(f"| `{name}` | {template['description']} | {template.get('from', 'system')} | {', '.join(notes)} |")
    return rows


if __name__ == "__main__":
    raise SystemExit(main(PAGE, reference, Path(__file__)))
