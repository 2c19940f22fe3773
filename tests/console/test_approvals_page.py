"""Questions answered in a browser: by mouse, by keyboard, together, and by somebody else meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.console.served import ServedConsole, served_console, visiting
from tests.gateway.approvals.support_approvals import approve
from tests.gateway.rig import records, server

RUN = {"lg/run": {"run_id": "r1", "epoch": 1, "step": "1"}}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedConsole]:
    with served_console(tmp_path, server("a")) as found:
        yield found


def test_a_question_appears_by_itself_and_is_approved_with_the_mouse_and_denied_with_keys(
    browser: Browser, served: ServedConsole
) -> None:
    long = "\n".join(f"line {number}" for number in range(250))
    with visiting(browser, served) as visit:
        page = visit.page
        expect(page.get_by_text("No question waits for an answer.")).to_be_visible()
        served.begin_call("a__echo", {"text": long})
        (first,) = served.waiting(1)
        card = page.locator(f"#q-{first}")
        expect(card).to_be_visible()
        assert "| text:" in card.locator(".question").inner_text()
        assert "line 249" in card.locator(".question").inner_text()
        lines = len(card.locator(".question").inner_text().split("\n"))
        expect(card.get_by_text(f"{lines} of {lines} lines")).to_be_visible()
        assert card.get_by_role("button", name="Approve once").is_visible()
        card.get_by_role("button", name="Approve once").click()
        expect(card.locator(".ended")).to_contain_text("at the console")
        served.answered(1)

        served.begin_call("a__echo", {"text": "no"})
        (second,) = served.waiting(1)
        expect(page.locator(f"#q-{second}")).to_be_visible()
        page.locator("body").press("j")
        page.keyboard.press("j")
        expect(page.locator(f"#q-{second}")).to_be_focused()
        page.keyboard.press("Tab")
        page.locator(f"#q-{second} input[name=reason]").fill("not on a Friday")
        page.locator(f"#q-{second}").focus()
        page.keyboard.press("d")
        expect(page.locator(f"#q-{second}")).to_contain_text("not on a Friday")
        yes, no = served.answered(2)

    assert yes.content[0].text.startswith("line 0")
    assert "not on a Friday" in no.content[0].text
    decided = [note for note in records(served.gateway, notes=True) if note["outcome"] in ("approved", "denied")]
    assert [note["outcome"] for note in decided] == ["approved", "denied"]
    assert all("at the console" in note["detail"] for note in decided)


def test_the_questions_of_a_turn_are_answered_together_and_a_run_is_approved_for_good(
    browser: Browser, served: ServedConsole
) -> None:
    for text in ("one", "two", "three"):
        served.begin_call("a__echo", {"text": text}, meta=RUN)
    served.waiting(3)
    with visiting(browser, served) as visit:
        visit.page.get_by_role("button", name="Approve all 3 once").click()
        served.answered(3)
        served.begin_call("a__echo", {"text": "four"}, meta=RUN)
        (question,) = served.waiting(1)
        visit.page.locator(f"#q-{question}").get_by_role("button", name="For this run").click()
        served.answered(4)
        served.begin_call("a__echo", {"text": "five"}, meta=RUN)
        served.answered(5)

    assert not any(answer.is_error for answer in served.answers)


def test_what_was_decided_elsewhere_or_has_expired_turns_read_only_and_is_refused(
    browser: Browser, served: ServedConsole
) -> None:
    served.begin_call("a__echo", {"text": "one"})
    (question,) = served.waiting(1)
    with visiting(browser, served) as visit, served.http() as stranger:
        card = visit.page.locator(f"#q-{question}")
        expect(card.get_by_role("button", name="Approve once")).to_be_visible()
        served.run(approve, served.gateway, question, "deny")
        expect(card.locator(".ended")).to_contain_text("by test")
        expect(card.get_by_role("button", name="Approve once")).to_have_count(0)
        token = served.operator_token()
        again = stranger.post(
            f"/v1/approvals/{question}", json={"decision": "once"}, headers={"authorization": f"Bearer {token}"}
        )
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


def test_always_shows_the_rule_before_it_is_written(browser: Browser, tmp_path: Path, clean_environment: Path) -> None:
    own = clean_environment / "config" / "lg" / "config.toml"
    with served_console(tmp_path, server("a")) as served, visiting(browser, served) as visit:
        served.begin_call("a__echo", {"text": "one"})
        (question,) = served.waiting(1)
        card = visit.page.locator(f"#q-{question}")
        draft = card.locator("[data-draft]").first
        draft.click()
        expect(card.locator("dialog[open] pre")).to_contain_text("[[gateway.rules]]")
        expect(card.locator("dialog[open]")).to_contain_text(str(own))
        card.get_by_role("button", name="Change nothing").click()
        assert not own.exists()
        draft.click()
        card.get_by_role("button", name="Write it and approve").click()
        served.answered(1)
        expect(card.locator(".ended")).to_be_visible()
        written = own.read_text()

    assert question in written
