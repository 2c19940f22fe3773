"""Which request is which kind: facts are answered, changes and judgements need a model, the rest is not guessed."""

from __future__ import annotations

import pytest

from lg_orch.analyst.analyst import LocalAnalyst
from lg_orch.analyst.understanding import understand
from lg_orch.contracts.repository import RepoContext


@pytest.mark.parametrize(
    "request_",
    [
        "summarize repo", "Summarise this repository.", "give me an overview", "what is this project?",
        "what does this repo do", "describe the codebase", "Explain this repository.", "analyze the repo",
        "tell me about this project",
    ],
)  # fmt: skip
def test_a_summary_is_recognised(request_: str) -> None:
    assert understand(request_).kind == "summary"
    assert understand(request_).sections == ()
    assert LocalAnalyst().route(request_).intent == "analysis"


@pytest.mark.parametrize(
    ("request_", "kind", "subject"),
    [
        ("where is Flask.run defined?", "where", "Flask.run"),
        ("Where is the class `Pot` defined", "where", "Pot"),
        ("where is the function foo_bar() implemented?", "where", "foo_bar"),
        ("find the definition of Pot", "where", "Pot"),
        ("which file defines TeapotError?", "where", "TeapotError"),
        ("where is Pot?", "where", "Pot"),
        ("who uses locate_app?", "uses", "locate_app"),
        ("where is Pot used?", "uses", "Pot"),
        ("what calls the method brew", "uses", "brew"),
        ("find all usages of crate::pot", "uses", "crate::pot"),
        ("what depends on httpx?", "depends", "httpx"),
        ("which modules depend on src/teapot/pot.py", "depends", "src/teapot/pot.py"),
        ("who imports ./utils", "depends", "./utils"),
        ("what imports @shop/ui?", "depends", "@shop/ui"),
        ("which tests cover src/teapot/pot.py?", "tests_for", "src/teapot/pot.py"),
        ("what tests exercise the module pot", "tests_for", "pot"),
        ("what changed last?", "changed", ""),
        ("show the latest commits", "changed", ""),
        ("do the tests pass?", "check", ""),
        ("run the tests", "check", ""),
        ("are all tests passing", "check", ""),
    ],
)
def test_a_question_is_recognised_with_its_subject(request_: str, kind: str, subject: str) -> None:
    ask = understand(request_)
    assert (ask.kind, ask.subject) == (kind, subject)
    assert not LocalAnalyst().route(request_).needs_model


@pytest.mark.parametrize(
    ("request_", "section"),
    [
        ("how do I run the tests?", "tests"),
        ("how are the tests run", "tests"),
        ("what are the entry points?", "entries"),
        ("list the dependencies", "dependencies"),
        ("which license is it under?", "licence"),
        ("what does the CI do?", "ci"),
        ("which programming languages are used?", "languages"),
        ("what are the largest files?", "modules"),
        ("what packages are there?", "packages"),
        ("is there documentation?", "docs"),
    ],
)
def test_a_question_about_one_section_is_answered_by_that_section(request_: str, section: str) -> None:
    assert understand(request_).sections == (section,)


@pytest.mark.parametrize(
    "request_",
    [
        "fix the failing test", "please refactor Pot", "add a retry to the client", "Rename Pot to Kettle",
        "explain why Pot raises", "why is this slow?", "summarize the repo and fix the bugs",
        "review the code", "how does the scheduler work?", "should we use httpx?", "write a test for Pot",
        "can you update the dependencies", "where is the bug?",
    ],
)  # fmt: skip
def test_what_changes_or_judges_needs_a_model(request_: str) -> None:
    route = LocalAnalyst().route(request_)
    assert route.needs_model
    assert "a change or a judgement" in route.rationale


@pytest.mark.parametrize("request_", ["", "hello", "42", "🫖", "sing me a song", "x" * 10_000])
def test_what_fits_no_rule_is_not_guessed(request_: str) -> None:
    route = LocalAnalyst().route(request_)
    assert route.needs_model
    assert "summarise a repository" in route.rationale


def test_a_request_for_a_model_plans_nothing_and_answers_only_that() -> None:
    backend = LocalAnalyst()
    context = RepoContext(root_name="r")
    route = backend.route("fix it")
    plan = backend.plan("fix it", route, context, ("fs__list_files",))
    assert plan.steps == ()
    assert plan.verification == ()
    assert backend.next_calls("fix it", plan, context, ()) == ()
    answer = backend.answer("fix it", plan, context, (), None)
    assert "needs a language model" in answer.text_markdown
    assert answer.statements == ()


@pytest.mark.parametrize(
    "request_",
    [
        "docs/usage.md is out of date: bring its table of options in line with the program's.",
        "Settings may have a section per server. Old files must still work. Update docs/settings.md.",
        "The licence header of cli.py names the wrong year.",
        "Our dependencies are too old",
        "The workflow for releases must also upload the wheel.",
        "docs/usage.md is wrong",
    ],
)
def test_a_statement_that_mentions_a_section_is_no_question_about_it(request_: str) -> None:
    assert understand(request_).kind in {"model", "unknown"}


@pytest.mark.parametrize("request_", ["entry points", "I would like the list of dependencies", "documentation?"])
def test_the_name_of_a_section_alone_is_a_question_about_it(request_: str) -> None:
    assert understand(request_).kind == "summary"
