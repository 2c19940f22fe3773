"""Checks and quotes a question that a server asks while one of its tools runs, and gives it our own key. Pure.

The human sees which server asks, and its words behind the margin. A question for what looks like a credential is
refused. Not covered: a server that asks for a secret in other words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as t

from lg_gateway.approvals.layout import word
from lg_gateway.approvals.question import quoted
from lg_gateway.catalog.catalog import CatalogEntry
from lg_gateway.store.canonical_json import canonical, digest
from lg_policy.printing import visible

QUESTION_BYTES = 8_000
FIELDS = 30
KEY = "ask."
_NAME = re.compile(r"[A-Za-z0-9_.$-]{1,100}")
_CREDENTIAL = re.compile(
    r"pass[-_ ]?(?:word|wd|phrase|code)|credential|(?:private|api|access|ssh|secret|encryption)[-_ ]?key"
    r"|client[-_ ]?secret|secret[-_ ]?(?:word|code|token)"
    r"|(?:access|auth|bearer|api|github|gitlab|personal|refresh|session|security|id)[-_ ]?tokens?\b"
    r"|\botp\b|one[-_ ]time|\b2fa\b|\bmfa\b|\bcvv2?\b|\bcvc\b|\bpin[-_ ]?(?:code|number)"
    r"|(?:seed|recovery|mnemonic)[-_ ]?(?:phrase|code|word)|(?:credit|debit)[-_ ]?card|card[-_ ]?number",
    re.IGNORECASE,
)
# Words that make a field's name or title a credential's; in a sentence they may say the opposite.
_LABEL = re.compile(r"\bsecrets?\b|\bpin\b|\bpwd?\b|\btokens?\b(?!\s*(?:count|limit|budget|s? ?per))", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TEXTS = ("title", "description")


class Refused(Exception):
    """The question is not put to a human. The message says why."""


@dataclass(frozen=True, kw_only=True)
class ServerQuestion:
    """One question, as the client gets it.

    `key` is a pure function of call, turn and question; `theirs` is the server's key.
    """

    key: str
    theirs: str
    text: str
    schema: dict[str, Any]

    def answer(self, result: t.ElicitResult) -> t.ElicitResult:
        """Return an answer as it goes back: a decline or cancel without content, a yes with the asked fields only."""
        if result.action != "accept":
            return t.ElicitResult(action=result.action)
        known = self.schema.get("properties", {})
        content = {name: value for name, value in (result.content or {}).items() if name in known}
        return t.ElicitResult(action="accept", content=content)


def read_question(entry: CatalogEntry, binding: str, theirs: str, request: object, *, turn: int = 1) -> ServerQuestion:
    """Return the question as a human gets it. Raises `Refused`.

    `binding` names the call that it belongs to, `theirs` is the key that the server gave it. `turn` counts the times
    that the call asks: the same question asked again is another one.
    """
    if not isinstance(request, t.ElicitRequest):
        raise Refused(f"it asked for {getattr(request, 'method', 'something')}, which is not passed on")
    params = request.params
    if not isinstance(params, t.ElicitRequestFormParams):
        raise Refused("it wants a web page opened, which is not passed on")
    asked = dict(params.requested_schema)
    if len(canonical([params.message, asked])) > QUESTION_BYTES:
        raise Refused(f"its question has more than {QUESTION_BYTES} bytes")
    schema = _schema(asked)
    _refuse_credentials(params.message, asked)
    kind = "built in" if entry.server.builtin else "third party"
    head = [
        "A server asks you something. Its words stand behind |.",
        f"server: {word(entry.server.name)} ({kind})",
        f"while running: {word(entry.tool)}",
    ]
    text = "\n".join([*head, *quoted(params.message), "Do not enter passwords or keys."])
    key = f"{KEY}{digest([binding, theirs, params.message, asked, *([turn] if turn > 1 else [])])[:32]}"
    return ServerQuestion(key=key, theirs=theirs, text=text, schema=schema)


def _schema(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form with everything that is only shown made visible. Names and values go back as they are."""
    properties = asked.get("properties")
    if not isinstance(properties, Mapping) or len(properties) > FIELDS:
        raise Refused(f"its form is not an object of at most {FIELDS} fields")
    made = {}
    for name, field in properties.items():
        if not _NAME.fullmatch(str(name)) or not isinstance(field, Mapping):
            raise Refused("its form has a field without a plain name")
        made[name] = {key: _shown(key, value) for key, value in field.items()}
    required = [name for name in asked.get("required", ()) if name in made]
    return {"type": "object", "properties": made} | ({"required": required} if required else {})


def _shown(key: str, value: Any) -> Any:
    if key in _TEXTS and isinstance(value, str):
        return visible(value)
    if key == "enumNames" and isinstance(value, list):
        return [visible(str(name)) for name in value]
    if key in ("oneOf", "anyOf") and isinstance(value, list):
        return [_option(choice) for choice in value]
    if key == "items" and isinstance(value, Mapping):
        return {inner: _shown(inner, part) for inner, part in value.items()}
    _refuse_hidden(value)
    return value


def _option(choice: Any) -> Any:
    if not isinstance(choice, Mapping):
        return choice
    _refuse_hidden(choice.get("const"))
    return {key: visible(value) if key in _TEXTS and isinstance(value, str) else value for key, value in choice.items()}


def _refuse_hidden(value: Any) -> None:
    """Values are sent back as they are, so they cannot be quoted: refuse those that do not show as what they are."""
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and visible(text) != text for text in texts):
        raise Refused("its form has a value with invisible or direction-changing characters")


def _refuse_credentials(message: str, asked: Mapping[str, Any]) -> None:
    texts, labels = [message], []
    for name, field in asked.get("properties", {}).items():
        labels += [str(name), str(field.get("title", ""))]
        texts.append(str(field.get("description", "")))
        if field.get("format") == "password" or field.get("writeOnly") is True:
            raise Refused("it asks for what looks like a credential")
    if any(_CREDENTIAL.search(_words(text)) for text in (*texts, *labels)) or any(
        _LABEL.search(_words(label)) for label in labels
    ):
        raise Refused("it asks for what looks like a credential")


def _words(text: str) -> str:
    """Take names apart and undo the disguises that cost nothing: compatibility forms, characters that do not show."""
    folded = unicodedata.normalize("NFKC", text)
    shown = "".join(character for character in folded if unicodedata.category(character) != "Cf")
    return f"{shown} {_CAMEL.sub(' ', shown)}".replace("_", " ")
