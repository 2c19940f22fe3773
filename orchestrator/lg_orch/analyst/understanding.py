"""Understands a request: as a topic of the analyst, or as something that only a language model can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["summary", "where", "uses", "depends", "tests_for", "changed", "check", "model", "unknown"]


@dataclass(frozen=True, kw_only=True)
class UnderstoodRequest:
    """A request, understood: its kind, what it is about, and for summaries the sections wanted (all when empty)."""

    kind: Kind
    subject: str = ""
    sections: tuple[str, ...] = ()
    described: bool = False
    """Whether the subject is several words that describe something, and not a name."""


_IT = (
    r"(?:the |a |an )?(?:(?:class|function|method|variable|constant|type|struct|trait|interface|module|package|library"
    r"|file|symbol|enum|macro|dependency|crate) )?[`\"']?(?P<name>(?:\./)?[\w@][\w./:@#\-]*(?:\(\))?)[`\"']?"
)
_DESCRIBED = re.compile(
    r"\bwhere (?:is|are|does|do)(?: we| the code (?:for|of|that))?(?: the| a| an| our)?"
    r" (?P<words>[\w'\-]+(?: [\w'\-]+){1,7}?)(?: being)?"
    r" (?:defined|declared|implemented|located|lives?|handled|done|computed|made|come from|coming from)\b",
    re.IGNORECASE,
)
_KIND_WORDS = re.compile(
    r"(?:class|function|method|variable|constant|type|struct|trait|interface|module|package|library|file|symbol|enum"
    r"|macro)\b",
    re.IGNORECASE,
)
_OUR = r"(?:all |any |the |of |unit |our |my )*"
_PROJECT = r"(?:this|the) (?:repo\w*|project|code ?base|code|package|library)"

# Read from the top: the first pattern that is found decides. Questions with a name come before those without.
_RULES: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    ("check", "", (
        rf"\b(?:do|does|are|is|will) {_OUR}(?:tests?|suite|checks?)\b.*\b(?:pass\w*|green|succeed|fail\w*|ok)\b",
        rf"^(?:please )?(?:run|execute) {_OUR}(?:tests?|test suite|checks?)\b",
    )),
    ("summary", "tests", (
        r"\bhow (?:do|can|should|to|are|is)\b.*\b(?:run|execute|start|running)\b.*\btest",
        r"\bhow (?:are|is)\b.*\btests?(?:ing)?\b",
        r"\btest command|\bcommand\b.*\btests?\b",
    )),
    ("tests_for", "", (
        rf"\btests? (?:that |which )?(?:covers?|exercises?|checks?|tests?|are for|for|of|uses?|touch(?:es)?) {_IT}",
        rf"\b(?:is|are) {_IT} (?:covered by (?:a |any )?test|tested)",
    )),
    ("changed", "", (
        r"\bwhat(?:'s| has| was| is)? (?:been )?(?:changed|new)\b",
        r"\b(?:last|latest|recent|newest|recently|lately) (?:change|commit)",
        r"\bchanged? (?:last|recently|lately)\b|\bgit log\b|\brecent history\b",
    )),
    ("depends", "", (
        rf"\b(?:what|who|which\b.*?) (?:else )?(?:depends?|relies|rely|builds?) (?:up)?on {_IT}",
        rf"\b(?:who|what|which\b.*?) imports? {_IT}",
        rf"\bdepend[ea]nts (?:of|on) {_IT}",
    )),
    ("where", "", (
        rf"\bwhere\b.*? {_IT} (?:being )?(?:defined|declared|implemented|located|lives?|comes? from|coming from)\b",
        rf"\b(?:definition|declaration|implementation) of {_IT}",
        rf"\b(?:find|locate|show|show me) {_IT}\s*[?.!]*$",
        rf"\b(?:which|what) \w+ (?:defines|declares|implements|contains) {_IT}",
    )),
    ("uses", "", (
        rf"\bwhere (?:is |are |do we (?:use |call )?){_IT}(?: being)? (?:used|called|referenced|invoked|mentioned)\b",
        rf"\b(?:who|what|which\b.*?) (?:uses?|calls?|references?|invokes?|mentions?) {_IT}",
        rf"\b(?:usages?|uses|callers?|references|occurrences|mentions) (?:of|to) {_IT}",
    )),
    ("summary", "tests", (r"\b(?:where are|list) (?:the )?tests?\b",)),
    ("where", "", (rf"\bwhere (?:is|are) {_IT}\s*\?*$",)),
    ("summary", "entries", (r"\b(?:entry ?points?|console scripts?|main functions?)\b",)),
    ("summary", "dependencies", (r"\b(?:dependencies|requirements|libraries|third[- ]party)\b",)),
    ("summary", "licence", (r"\blicen[sc]e",)),
    ("summary", "ci", (r"\b(?:ci|continuous integration|pipelines?|workflows?)\b",)),
    ("summary", "modules", (r"\b(?:largest|biggest|most imported|longest) (?:\w+ )?(?:modules?|files?)",)),
    ("summary", "languages", (
        r"\b(?:programming )?languages?\b|\bhow (?:big|large)\b|\bhow many (?:files|lines)\b|\blines of code\b",
    )),
    ("summary", "packages", (r"\b(?:what|which|list)\b.*\b(?:packages|crates|workspaces?)\b",)),
    ("summary", "docs", (r"\bdocumentation\b|\bdocs\b",)),
    ("summary", "", (
        r"\b(?:summar\w+|overview|describe|analy[sz]e|analysis|tour|onboard\w*|explore|report on)\b",
        rf"\bwhat (?:is|does) {_PROJECT}\b|\bexplain {_PROJECT}\s*[.!]*$|\btell me about {_PROJECT}|^what is this\??$",
    )),
)  # fmt: skip
_CHANGE = (
    r"(?:add|allow|apply|bring|bump|change|clean up|convert|create|debug|delete|design|document|drop|edit|ensure"
    r"|extend|fix|format|generate|get rid of"
    r"|implement|improve|insert|introduce|make|migrate|modify|move|optimi[sz]e|patch|polish|port|refactor|remove|rename"
    r"|repair|replace|restructure|reword|rewrite|simplify|solve|speed up|split|support|switch|translate|turn|update"
    r"|upgrade|write)"
)
_POLITE = r"(?:please |now |then |(?:can|could|would|will) you |i want you to |let's |help me (?:to )?|try to )*"
_DOING = re.compile(rf"^{_POLITE}{_CHANGE}\b|(?:\band|\bthen|,) (?:then )?{_CHANGE} \w")
_CLAUSE = re.compile(r"(?<=[.!?:;]) +")
_ASKING = re.compile(
    r"\?|^(?:please |now |so |and |then |can you |could you )*(?:i (?:want|need|would like)|what|which|how|where|who"
    r"|when|is|are|does|do|did|was|were|has|have|list|show|tell|give|find|locate|name|count|run|execute|check|summar\w+"
    r"|describe|analy[sz]e|explore|report|explain)\b",
    re.IGNORECASE,
)
_FEW_WORDS = 5
"""A request of so few words may be the name of what is wanted, as "entry points" is."""
_SAYS_SOMETHING = re.compile(r"\b(?:is|are|was|were|has|have|must|should)\b", re.IGNORECASE)
_PATH = re.compile(r"\S*/\S*")
_THINKING = re.compile(
    rf"\bwhy\b|\bexplain (?!{_PROJECT}\s*[.!]*$)|\bhow (?:does|do|would|should|could|can)\b"
    r"|\bshould (?:we|i)\b|\breview\b|\bcompare\b|\bsuggest|\brecommend|\bbugs?\b|\bvulnerab|\bbest way\b|\bwhat if\b"
)
_COMPILED = tuple(
    (kind, section, re.compile(pattern, re.IGNORECASE)) for kind, section, patterns in _RULES for pattern in patterns
)


def orders_a_change(request: str) -> bool:
    """Tell whether the wording orders something to be done, rather than asking about it."""
    text = " ".join(request[:2_000].split()).lower()
    return any(_DOING.search(clause) for clause in (text, *_CLAUSE.split(text)))


def _names_a_section(text: str) -> bool:
    """Tell whether a word such as `documentation` is what is asked for, and not only mentioned in a statement."""
    if _ASKING.search(text) is not None:
        return True
    return len(text.split()) <= _FEW_WORDS and not _SAYS_SOMETHING.search(text)


def understand(request: str) -> UnderstoodRequest:
    """Return the topic of a request, by its wording alone.

    A request that fits no topic is `unknown`; nothing is guessed.
    """
    text = " ".join(request[:2_000].split())
    lowered = text.lower()
    if orders_a_change(text):
        return UnderstoodRequest(kind="model")
    sections_count, pathless = _names_a_section(text), _PATH.sub(" ", text)
    thinking = _THINKING.search(lowered) is not None
    for kind, section, pattern in _COMPILED:
        found = pattern.search(pathless if kind == "summary" else text)
        if kind == "summary" and not sections_count:
            continue
        # "How do I run the tests" is a question of facts, although most questions with "how" are not.
        if found is not None and (not thinking or kind == "check" or section == "tests"):
            if kind == "where" and (words := _description(text)):
                return UnderstoodRequest(kind=kind, subject=words, described=True)
            subject = _clean(found.groupdict().get("name") or "")
            return UnderstoodRequest(kind=kind, subject=subject, sections=(section,) if section else ())
    if not thinking and (words := _description(text)):
        return UnderstoodRequest(kind="where", subject=words, described=True)
    return UnderstoodRequest(kind="model" if thinking else "unknown")


def _description(text: str) -> str:
    """Return what a question describes in several plain words, as `progress bar`; "" if it gives a name."""
    found = _DESCRIBED.search(text)
    if found is None:
        return ""
    words = found["words"].split()
    named = any(re.search(r"[a-z][A-Z]|_", word) for word in words)
    return "" if named or _KIND_WORDS.match(words[0]) else " ".join(words)


def _clean(name: str) -> str:
    return name.removesuffix("()").rstrip(".:-/#")
