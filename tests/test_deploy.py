"""What `deploy/` ships: it names only metrics that exist, runs as nobody special, and names no registry."""

from __future__ import annotations

import json
import re
import tomllib
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from lg_gateway.cli import COMMANDS as GATEWAY_COMMANDS
from lg_orch.cli import COMMANDS as ORCH_COMMANDS
from lg_policy.command_line.reading import read_command_line
from lg_policy.config.loading import load_settings

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
METRICS = "".join(
    (ROOT / path).read_text("utf-8")
    for path in (
        "gateway/lg_gateway/observability/gateway_metrics.py",
        "orchestrator/lg_orch/service/records/run_counts.py",
    )
)
GIVEN = {"up"}
"""Metrics of Prometheus itself."""
SUFFIXES = ("_total", "_bucket", "_sum", "_count", "_info")


def metrics() -> set[str]:
    """Return the families that the gateway and the run service have, from the calls that make them."""
    return set(re.findall(r'\b(?:counter|gauge|histogram|info)\(\s*"([a-z_]+)"', METRICS))


def named(expression: str) -> set[str]:
    """Return the metrics that an expression asks for."""
    without = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    words = set(re.findall(r"\b(?:lg|process)_[a-z_]+\b|\bup\b", without))
    return {next((word.removesuffix(end) for end in SUFFIXES if word.endswith(end)), word) for word in words} - GIVEN


def expressions() -> list[str]:
    board = json.loads((DEPLOY / "grafana/dashboard.json").read_text("utf-8"))
    found = [rule["expr"] for rule in (*rules("alerts"), *rules("service-alerts"))]
    return found + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def rules(name: str) -> list[dict[str, Any]]:
    alerts = yaml.safe_load((DEPLOY / f"prometheus/{name}.yaml").read_text("utf-8"))
    return [rule for group in alerts["groups"] for rule in group["rules"]]


def documents() -> list[dict[str, Any]]:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text("utf-8"))]


def test_alerts_and_dashboard_ask_only_for_metrics_that_there_are() -> None:
    asked = {metric for expression in expressions() for metric in named(expression)}

    assert asked - metrics() == set()
    assert len(metrics()) > 15
    assert len(asked) > 15


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    assert (len(rules("alerts")), len(rules("service-alerts"))) == (10, 4)
    for rule in (*rules("alerts"), *rules("service-alerts")):
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_containers_run_as_nobody_special_on_a_root_that_they_cannot_write() -> None:
    (deployment,) = (each for each in documents() if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text("utf-8"))["services"]["gateway"]
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text("utf-8")

    assert pod["securityContext"]["runAsUser"] == 10001
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
    assert (compose["read_only"], compose["cap_drop"]) == (True, ["ALL"])
    assert dockerfile.rindex("USER 10001:10001") > dockerfile.rindex("\nFROM ")


def test_the_image_is_built_from_every_package_of_the_project() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = re.findall(r"^COPY (\S+) \1$", (DEPLOY / "docker/Dockerfile").read_text("utf-8"), re.MULTILINE)

    assert {package.split("/")[0] for package in packages} <= set(copied)


def test_no_image_names_a_registry() -> None:
    texts = [file.read_text("utf-8") for file in sorted(DEPLOY.rglob("*")) if file.is_file()]
    images = [
        image for text in texts for image in re.findall(r"(?:image: |^ARG PYTHON=|^FROM )(\S+)", text, re.MULTILINE)
    ]

    assert len(images) > 3
    assert [image for image in images if "/" in image] == []


@pytest.mark.parametrize("name", ["docker", "kubernetes"])
def test_the_settings_that_are_shipped_are_settings(name: str) -> None:
    path = DEPLOY / name / "gateway.toml"

    assert load_settings(config=path, environ={}).settings.gateway.metrics.enabled
    assert "exec" not in tomllib.loads(path.read_text("utf-8"))["gateway"]["servers"]


def unit(name: str) -> RawConfigParser:
    found = RawConfigParser(strict=False)
    found.read(DEPLOY / f"systemd/{name}.service", "utf-8")
    return found


@pytest.mark.parametrize(("hard", "soft"), [("lg-gateway", "lg-gateway-exec"), ("lg-orch", "lg-orch-worker@")])
def test_the_unit_with_commands_leaves_bubblewrap_what_it_needs(hard: str, soft: str) -> None:
    breaking = ("protectkerneltunables", "protectkernellogs", "protecthostname", "restrictnamespaces", "protectproc")

    assert all(unit(hard).has_option("Service", option) for option in breaking)
    assert not any(unit(soft).has_option("Service", option) for option in (*breaking, "procsubset", "privateusers"))
    assert unit(soft).get("Service", "Delegate") == "yes"
    for name in (hard, soft):
        assert unit(name).get("Service", "NoNewPrivileges") == "yes"
        assert unit(name).get("Service", "CapabilityBoundingSet") == ""


def test_the_units_start_programs_with_options_that_there_are() -> None:
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        program, *words = unit(path.stem).get("Service", "ExecStart").split()
        commands = {"lg-gateway": GATEWAY_COMMANDS, "lg-orch": ORCH_COMMANDS}[Path(program).name]

        assert read_command_line(commands, words).command in ("serve", "worker")
