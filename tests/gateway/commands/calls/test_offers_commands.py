"""`lg-gateway resources` and `prompts`: list, read and get; `policy explain` about them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.offers_rig import ALLOW, offers
from tests.gateway.rig import program_environment, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def gateway(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "lg_gateway", *args, "--config", str(tmp_path / "gateway.toml")]
    return subprocess.run(command, capture_output=True, text=True, env=program_environment())


def test_what_a_client_sees_is_listed_and_read(tmp_path: Path) -> None:
    write_config(tmp_path, offers("fx", "--uri", "test://odd\u202e/x"), ALLOW)
    listed = gateway(tmp_path, "resources")
    as_json = json.loads(gateway(tmp_path, "resources", "--json").stdout)
    read = gateway(tmp_path, "resources", "fx+test://static")
    prompts = gateway(tmp_path, "prompts")
    got = gateway(tmp_path, "prompts", "fx__greet", '{"topic": "tea"}')
    wrong = gateway(tmp_path, "prompts", "fx__gret")

    assert "fx+test://item/{id}" in listed.stdout
    assert "\u202e" not in listed.stdout
    assert [template["uriTemplate"] for template in as_json["resourceTemplates"]] == ["fx+test://item/{id}"]
    assert read.stdout == "the static text\n"
    assert any(line.split() == ["fx__greet", "greets"] for line in prompts.stdout.splitlines())
    assert got.stdout == "about tea\nembedded\n"
    assert wrong.returncode == 2
    assert "did you mean fx__greet?" in wrong.stderr


def test_policy_explains_resources_and_prompts(tmp_path: Path) -> None:
    rule = '[[gateway.rules]]\nresources = ["fx+test://secret/*"]\neffect = "deny"\nreason = "it is secret"\n'
    write_config(tmp_path, offers("fx"), rule)
    denied = gateway(tmp_path, "policy", "explain", "fx+TEST://s%65cret/a")
    asked = json.loads(gateway(tmp_path, "policy", "explain", "fx__greet", "--json").stdout)

    assert denied.stdout.startswith("deny: it is secret\ndecided by gateway.rules[0]")
    assert "does not see this resource" in denied.stdout
    assert (asked["kind"], asked["effect"], asked["rule"]) == ("prompt", "approve", "default:prompt")
