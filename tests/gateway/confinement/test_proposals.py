"""The sandbox that is proposed for a server, by its command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lg_gateway.confinement.hosts import read_patterns
from lg_gateway.confinement.proposals import propose_sandbox


@pytest.mark.parametrize(
    ("command", "args", "table"),
    [
        ("npx", ["-y", "some-server"], '{ network = ["npm.test:4873"] }'),
        ("/usr/bin/npx", ["-y", "@acme/server-github@1.2"], '{ network = ["npm.test:4873", "api.github.com"] }'),
        ("uvx", ["mcp-server-fetch"], '{ network = ["*"] }'),
        (
            "npx",
            ["-y", "@modelcontextprotocol/server-filesystem", "/home/ada/notes"],
            '{ network = ["npm.test:4873"], write = ["/home/ada/notes"] }',
        ),
        ("node", ["/opt/server/index.js", "--data=~/data"], '{ read = ["/opt/server/index.js", "~/data"] }'),
        ("some-server", [], "{}"),
    ],
)
def test_a_proposal_holds_the_hosts_and_paths_that_the_command_line_shows(
    command: str, args: list[str], table: str
) -> None:
    proposal = propose_sandbox(command, args, {"NPM_CONFIG_REGISTRY": "http://npm.test:4873/"})
    assert proposal.table() == table
    read_patterns(proposal.network)


@pytest.mark.parametrize(("command", "args"), [("docker", ["run", "image"]), ("sh", ["-c", "x"])])
def test_of_a_command_that_a_sandbox_does_not_fit_the_reason_is_given(command: str, args: list[str]) -> None:
    assert propose_sandbox(command, args).why_not


def test_the_package_index_is_the_one_that_its_user_has_configured(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text("; mine\nregistry=https://packages.test/npm/\n//packages.test/:_authToken=x\n")
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").write_text('[[index]]\nurl = "https://python.test/simple"\n')
    home = {"HOME": str(tmp_path)}
    assert propose_sandbox("npx", ["a"], home).network == ("packages.test",)
    assert propose_sandbox("uvx", ["a"], home).network == ("python.test",)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".npmrc").unlink()
    (tmp_path / ".npmrc").symlink_to("pipe")
    unknown = propose_sandbox("npx", ["a"], home)
    assert (unknown.network, unknown.add) == ((), "add the host of your package index to network")
    assert unknown.text() == "sandbox = { network = [] }  # add the host of your package index to network"
