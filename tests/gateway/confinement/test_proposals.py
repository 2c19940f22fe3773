"""The sandbox that is proposed for a server, by its command line."""

from __future__ import annotations

import pytest

from lg_gateway.confinement.hosts import read_patterns
from lg_gateway.confinement.proposals import propose_sandbox


@pytest.mark.parametrize(
    ("command", "args", "table"),
    [
        ("npx", ["-y", "some-server"], '{ network = ["registry.npmjs.org"] }'),
        ("/usr/bin/npx", ["-y", "@acme/server-github@1.2"], '{ network = ["registry.npmjs.org", "api.github.com"] }'),
        ("uvx", ["mcp-server-fetch"], '{ network = ["*"] }'),
        (
            "npx",
            ["-y", "@modelcontextprotocol/server-filesystem", "/home/ada/notes"],
            '{ network = ["registry.npmjs.org"], write = ["/home/ada/notes"] }',
        ),
        ("node", ["/opt/server/index.js", "--data=~/data"], '{ read = ["/opt/server/index.js", "~/data"] }'),
        ("some-server", [], "{}"),
    ],
)
def test_a_proposal_holds_the_hosts_and_paths_that_the_command_line_shows(
    command: str, args: list[str], table: str
) -> None:
    proposal = propose_sandbox(command, args)
    assert proposal.table() == table
    read_patterns(proposal.network)


@pytest.mark.parametrize(("command", "args"), [("docker", ["run", "image"]), ("sh", ["-c", "x"])])
def test_of_a_command_that_a_sandbox_does_not_fit_the_reason_is_given(command: str, args: list[str]) -> None:
    assert propose_sandbox(command, args).why_not
