"""Checks and quotes a question that a server asks while one of its tools runs, and gives it our own key. Pure.

The human sees which server asks, and its words behind the margin. A form for what looks like a credential is refused.
Not covered: a server that asks for a secret in other words. Of a web page its host is named; the page is never opened.
A request for a message of the client's model, or for its roots, is passed on only where the server's settings allow it.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import mcp_types as t
from pydantic import ValidationError

from lg_gateway.approvals.layout import word
from lg_gateway.approvals.question import quoted
from lg_gateway.catalog.entry import Entry
from lg_gateway.elicitation.client_abilities import FORM, ROOTS, SAMPLING, URL, ClientAbilities, kind_of
from lg_gateway.elicitation.refusals import NotPassedOn, Refused
from lg_gateway.elicitation.sampling_request import Mask, Public, message_answer, prepared, roots_answer
from lg_gateway.elicitation.url_question import HOST_CHARACTERS, host_of
from lg_gateway.store.canonical_json import canonical, digest
from lg_policy.errors import InvalidArguments
from lg_policy.printing import visible

QUESTION_BYTES = 8_000
FIELDS = 30
KEY = "ask."
_OWN_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")  # no dot, which every key of the gateway has
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


@dataclass(frozen=True, kw_only=True)
class ServerQuestion:
    """One question, as the client gets it.

    `key` is a pure function of call, turn and question; `theirs` is the server's key. `params` is what a question
    of another kind than a form consists of.
    """

    key: str
    theirs: str
    text: str
    schema: dict[str, Any]
    kind: str = FORM
    params: dict[str, Any] = dataclasses.field(default_factory=dict)

    def request(self) -> t.InputRequest:
        """Return it in the protocol's form."""
        if self.kind == SAMPLING:
            params = t.CreateMessageRequestParams.model_validate(self.params, by_name=False)
            return t.CreateMessageRequest(params=params)
        if self.kind == ROOTS:
            return t.ListRootsRequest()
        if self.kind == URL:
            page = t.ElicitRequestURLParams(message=self.text, url=self.params["url"], elicitation_id=self.key)
            return t.ElicitRequest(params=page)
        return t.ElicitRequest(params=t.ElicitRequestFormParams(message=self.text, requested_schema=self.schema))

    def answer(self, given: object) -> t.InputResponse:
        """Return an answer as it goes back: of a form, a no without content, or a yes with the asked fields only.

        Raises `InvalidArguments` for an answer to a question of another kind, `TooLarge` for one that is too long.
        """
        if self.kind == SAMPLING:
            return message_answer(given)
        if self.kind == ROOTS:
            return roots_answer(given)
        result = elicited(given)
        if result.action != "accept" or self.kind == URL:
            return t.ElicitResult(action=result.action)
        known = self.schema.get("properties", {})
        content = {name: value for name, value in (result.content or {}).items() if name in known}
        return t.ElicitResult(action="accept", content=content)


def elicited(given: object) -> t.ElicitResult:
    """Return an answer to a form or a page. Raises `InvalidArguments` when it is none."""
    if isinstance(given, t.ElicitResult):
        return given
    try:
        return t.ElicitResult.model_validate(given)
    except ValidationError as error:
        raise InvalidArguments("the answer to the question is not an elicitation result") from error


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What a question is read for: the tool whose call it belongs to, and what its client can answer.

    `binding` names that call. `turn` counts the times that it asks: the same question asked again is another one.
    """

    entry: Entry
    binding: str
    abilities: ClientAbilities
    turn: int = 1
    mask: Mask | None = None
    public: Public = str
    """Returns the address that clients use for a URI of the server."""


def read_question(asking: Asking, theirs: str, request: object) -> ServerQuestion:
    """Return the question as a client gets it; `theirs` is the key that the server gave it.

    Raises `Refused`, or `NotPassedOn` for a request that has no answer that says no.
    """
    kind = kind_of(request)
    if kind in (SAMPLING, ROOTS):
        _refuse_unless_allowed(asking, kind)
    if isinstance(request, t.CreateMessageRequest):
        server = asking.entry.server
        tools = asking.abilities.sampling_tools
        params = prepared(
            request, server.name, tools=tools, trusted=server.trusted, mask=asking.mask, public=asking.public
        )
        return _question(asking, theirs, kind, "", params, about=[params])
    if isinstance(request, t.ListRootsRequest):
        return _question(asking, theirs, kind, "", {}, about=[])
    if not isinstance(request, t.ElicitRequest):
        raise NotPassedOn(f"server {asking.entry.server.name} asked for {kind}, which is not passed on")
    if isinstance(request.params, t.ElicitRequestFormParams):
        return _form(asking, theirs, request.params)
    return _page(asking, theirs, request.params)


def _refuse_unless_allowed(asking: Asking, kind: str) -> None:
    spec, what = asking.entry.server, "a message of your model" if kind == SAMPLING else "your roots"
    if not (spec.sampling if kind == SAMPLING else spec.roots):
        raise NotPassedOn(
            f"server {spec.name} asked for {what} ({kind}), which its settings do not allow",
            hint=f'the owner of the gateway can set gateway.servers.{spec.name}.{kind} = "client"',
        )
    if kind not in asking.abilities.kinds:
        raise NotPassedOn(f"server {spec.name} asked for {what} ({kind}), and this client cannot answer that")


def _form(asking: Asking, theirs: str, params: t.ElicitRequestFormParams) -> ServerQuestion:
    asked = dict(params.requested_schema)
    if len(canonical([params.message, asked])) > QUESTION_BYTES:
        raise Refused(f"its question has more than {QUESTION_BYTES} bytes")
    schema = _schema(asked)
    _refuse_credentials(params.message, asked)
    head = _head(asking, "A server asks you something. Its words stand behind |.")
    text = "\n".join([*head, *quoted(params.message), "Do not enter passwords or keys."])
    made = _question(asking, theirs, FORM, text, {}, about=[params.message, asked])
    return replace(made, schema=schema)


def _page(asking: Asking, theirs: str, params: t.ElicitRequestURLParams) -> ServerQuestion:
    host = host_of(params.url)
    if len(params.message.encode("utf-8", "replace")) > QUESTION_BYTES:
        raise Refused(f"its question has more than {QUESTION_BYTES} bytes")
    head = _head(asking, "A server asks you to open a web page. Its words stand behind |.")
    rows = [f"host: {word(host, HOST_CHARACTERS)}", *quoted(params.url), "It says:", *quoted(params.message)]
    text = "\n".join([*head, *rows, "The gateway has not opened the page. Open it only if you expect it."])
    return _question(asking, theirs, URL, text, {"url": params.url}, about=[params.message, params.url])


def _head(asking: Asking, first: str) -> list[str]:
    server = asking.entry.server
    kind = "built in" if server.builtin else "third party"
    return [first, f"server: {word(server.name)} ({kind})", f"while running: {word(asking.entry.tool)}"]


def _question(
    asking: Asking, theirs: str, kind: str, text: str, params: dict[str, Any], *, about: list[Any]
) -> ServerQuestion:
    """Return the question under a key that only this call, this turn and this question have.

    A server whose names are shown as they are keeps its own key, if that cannot be taken for one of the gateway's.
    """
    kinds = [] if kind == FORM else [kind]
    own = digest([asking.binding, theirs, *about, *([asking.turn] if asking.turn > 1 else []), *kinds])
    key = theirs if asking.entry.server.bare and _OWN_KEY.fullmatch(theirs) else f"{KEY}{own[:32]}"
    return ServerQuestion(key=key, theirs=theirs, text=text, schema={}, kind=kind, params=params)


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
