"""Attacks on tasks: the id of another caller's, a row moved or made up in the store, a server's answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.programs import fixture_url

from lg_gateway.upstreams.offers.server_tasks import MESSAGE_CHARACTERS, read_task
from lg_policy.secrets.masking import Masker
from tests.gateway.offers_rig import refused
from tests.gateway.rig import gateway_of
from tests.gateway.tasks.tasks_rig import about, called, stands, taking_tasks, tasks_server

pytestmark = pytest.mark.anyio
YES = {"action": "accept", "content": {"confirm": True}}


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fixture_url(tmp_path_factory.mktemp("fixture")) as url:
        yield url


async def tried(client: Any, task: str, **answers: Any) -> list[int]:
    """Return the codes with which a caller is refused everything about a task."""
    more = {"tasks/update": {"inputResponses": answers}}
    methods = ("tasks/get", "tasks/update", "tasks/cancel")
    return [(await refused(about(client, method, task, **more.get(method, {})))).code for method in methods]


@pytest.mark.attack("Tasks", "the id of another caller's task, to read, answer or cancel it; the server's own id of it")
async def test_nobody_but_its_caller_hears_of_a_task(tmp_path: Path, fixture: str) -> None:
    async with (
        gateway_of(tmp_path, tasks_server(fixture)) as gateway,
        taking_tasks(gateway) as owner,
        taking_tasks(gateway, identity="local:mallory") as other,
    ):
        task = (await called(owner, "fx__confirm_delete", filename="f"))["taskId"]
        ((key, _),) = (await stands(owner, task, "input_required"))["inputRequests"].items()
        theirs = gateway.store.read_now(gateway.task_keeper._table.open)[0].theirs  # private: a look
        codes = [await tried(other, named, **{key: YES}) for named in (task, theirs)]
        codes.append(await tried(owner, theirs))
        still = await about(owner, "tasks/get", task)

        assert codes == [[-32602] * 3] * 3
        assert theirs not in str(still)
        assert still["status"] == "input_required"


@pytest.mark.attack("Tasks", "a row in the store given to another caller, or with another result")
async def test_a_task_that_was_changed_in_the_store_is_not_believed(tmp_path: Path, fixture: str) -> None:
    async with (
        gateway_of(tmp_path, tasks_server(fixture)) as gateway,
        taking_tasks(gateway) as owner,
        taking_tasks(gateway, identity="local:mallory") as other,
    ):
        moved = (await called(owner, "fx__slow_compute", seconds=0))["taskId"]
        edited = (await called(owner, "fx__slow_compute", seconds=0))["taskId"]
        await stands(owner, moved, "completed")
        await stands(owner, edited, "completed")
        await gateway.store.write(
            lambda tx: tx.execute("UPDATE tasks SET identity = 'local:mallory' WHERE id = ?", (moved,))
        )
        await gateway.store.write(
            lambda tx: tx.execute("UPDATE tasks SET body = replace(body, 'computed', 'forged') WHERE id = ?", (edited,))
        )

        assert (await refused(about(other, "tasks/get", moved))).code == -32603
        assert (await refused(about(owner, "tasks/get", moved))).code == -32602
        assert (await refused(about(owner, "tasks/get", edited))).code == -32603


@pytest.mark.attack("Tasks", "a state whose words are cut in the middle of a secret")
@pytest.mark.parametrize("before", ["x " * 240, "x" * 480 + "/", "\u6587 " * 240])
def test_no_half_of_a_secret_is_left_of_what_a_server_says_about_a_task(before: str) -> None:
    secret = "hunter2-" * 5
    masker = Masker(b"k" * 32, [secret])
    said = read_task({"taskId": "1", "status": "working", "statusMessage": before + secret + " " + "y" * 600})

    assert "hunter2" not in masker.mask(said.message)
    assert len(said.message) <= MESSAGE_CHARACTERS + 1
