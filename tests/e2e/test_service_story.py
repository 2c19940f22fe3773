"""A team's service: a run that outlives the worker that drove it, told by a program and in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests import postgres
from tests.console.conftest import launched
from tests.console.served import LONG_MS, opened_page
from tests.e2e.team import BEFORE, WAIT_S, team_of
from tests.forked_programs import programs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from tests.e2e.team import Team
    from tests.fork_server import ForkServer
    from tests.processes import Shared

STOPS = 120
"""Presses of Tab that reach any button of these pages."""
SLOW_MS = 2 * LONG_MS


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Shared[str], fork_server: ForkServer | None
) -> Iterator[Team]:
    """One for both stories."""
    with (
        programs_of(fork_server),
        postgres.schema(postgres_server.get()) as url,
        team_of(tmp_path_factory.mktemp("team"), url) as made,
    ):
        yield made


@pytest.mark.timeout(600)
def test_a_run_is_approved_taken_over_from_a_killed_worker_verified_and_undone(team: Team) -> None:
    team.staff()
    api = team.api
    silent, goes_on = team.model.expect("r0001")
    run_id = api("POST", "/v1/runs", {"request": "insert two lines, token r0001"})["run_id"]
    waiting = api.until(run_id, "waiting")
    (question,) = waiting["questions"]
    api("POST", f"/v1/runs/{run_id}/answer", {"question": question["key"], "decision": "approve_for_run"})
    assert silent.wait(WAIT_S)
    driven = api("GET", f"/v1/runs/{run_id}")
    team.worker_of(driven).kill()
    goes_on.set()

    ended = api.until(run_id, "done", "unchecked", "failed", "waiting")
    assert ended["state"] in ("done", "unchecked"), ended
    assert ended["epoch"] > driven["epoch"], "another worker took it over"
    team.assert_inserted("r0001")
    trace = api("GET", f"/v1/runs/{run_id}/trace")
    assert trace["verification"] is not None
    assert [event["seq"] for event in trace["events"]] == list(range(1, len(trace["events"]) + 1))

    undo = team.undone(run_id)
    assert undo["state"] == "done", undo
    assert team.log.read_text() == BEFORE


@pytest.mark.timeout(600)
def test_in_a_browser_the_same_run_is_begun_by_mouse_and_approved_and_undone_by_keyboard_alone(team: Team) -> None:
    team.staff()
    silent, goes_on = team.model.expect("r0002")
    with sync_playwright() as playwright, launched(playwright) as browser, opened_page(browser, team.address) as visit:
        page = visit.page
        page.goto(f"{team.address}/login")
        page.get_by_label("Token").fill(team.token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("link", name="New run").click()
        page.get_by_label("What is to be done").fill("insert two lines, token r0002")
        page.get_by_role("button", name="Begin").click()
        page.wait_for_url(re.compile(r"/runs/\d+T"))
        run_page = page.url
        state = page.locator("#run-head .state")
        expect(state).to_have_text("waiting", timeout=SLOW_MS)
        expect(page.locator("#questions .add", has_text="a-r0002")).to_be_visible()

        _approve_for_the_run(page)
        assert silent.wait(WAIT_S)
        driven = team.api("GET", f"/v1/runs/{run_page.rpartition('/')[2]}")
        team.worker_of(driven).kill()
        goes_on.set()

        page.get_by_role("link", name="Runs", exact=True).click()
        page.get_by_role("link", name="token r0002").click()
        expect(state).to_have_text(re.compile("done|unchecked"), timeout=SLOW_MS)
        expect(page.locator("#run-head")).to_contain_text(re.compile(r"Taken up\s*\d+ times"))
        team.assert_inserted("r0002")
        page.get_by_role("link", name="Diff").click()
        expect(page.locator("#tab .add", has_text="a-r0002")).to_be_visible()
        page.get_by_role("link", name="Checks").click()
        expect(page.locator("#tab .state").first).to_have_text("passed")

        _undo(page)
        expect(page.locator("#run-head")).to_contain_text(re.compile(r"Undo\s*done"), timeout=SLOW_MS)
        assert team.log.read_text() == BEFORE


def _approve_for_the_run(page: Page) -> None:
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/approvals")
    card = page.locator(".card[data-state=pending]")
    expect(card).to_contain_text("+a-r0002", timeout=SLOW_MS)
    page.keyboard.press("j")
    expect(card).to_be_focused()
    _press(page, card.get_by_role("button", name="For this run"))
    expect(page.locator("#waiting .card[data-state=pending]")).to_have_count(0, timeout=SLOW_MS)


def _undo(page: Page) -> None:
    _press(page, page.get_by_text("Act on this run"))
    _press(page, page.get_by_role("link", name="Undo, with a preview"))
    page.wait_for_url("**/undo")
    expect(page.locator(".del", has_text="a-r0002")).to_be_visible()
    _press(page, page.get_by_role("button", name="Undo these changes"))
    page.wait_for_url(re.compile(r"/runs/[^/]+$"))


def _press(page: Page, target: Locator) -> None:
    """Go to something with the Tab key, and press Enter there."""
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        if target.evaluate("found => found === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"the Tab key does not reach {target}")
