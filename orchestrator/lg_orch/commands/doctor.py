"""`lg-orch doctor`: tries what works here, and reports what does not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from lg_orch.contracts.text import in_line
from lg_policy.errors import LgError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from lg_orch.llm.candidates import Candidate
    from lg_orch.settings.setup import CommandSetup
    from lg_orch.tools.connection import Connection
    from lg_policy.config.settings import ModelsSettings

Finding = tuple[bool, str]
LIST_TIMEOUT_S = 60.0
MAX_NAMES = 2_000
MAX_MANIFEST = 100_000


def command(args: argparse.Namespace) -> int:
    """Print one line a finding; exit status 1 if anything does not work."""
    from lg_orch.settings.setup import prepare

    healthy = True
    setup = prepare(args)
    for fine, text in (*_local(setup), *_gateway(args, setup)):
        healthy = healthy and fine
        print(f"{'ok  ' if fine else 'FAIL'}  {in_line(text)}")
    return 0 if healthy else 1


def _local(setup: CommandSetup) -> Iterator[Finding]:
    from importlib.util import find_spec

    from lg_orch.contracts.errors import EXTRA_MODULES
    from lg_orch.engine.driver import versions
    from lg_policy.config.trust import read_repository_file
    from lg_policy.install_hints import extra_command

    yield True, "versions: " + ", ".join(f"{name} {number}" for name, number in versions().items())
    missing = sorted(name for name in EXTRA_MODULES if find_spec(name) is None)
    state = f"{missing} missing, {extra_command('orch')}" if missing else "installed"
    yield not missing, f"extra `orch`: {state}"
    yield True, f"repository: {setup.root} (id {setup.root_id})"
    yield True, f"state: {setup.state.path}"
    yield True, f"settings: profile {setup.loaded.settings.profile}; from {', '.join(setup.loaded.sources)}"
    found = read_repository_file(setup.root)
    if found is not None:
        how = "trusted" if found.trusted else "not trusted: only its denials count (`lg-orch trust`)"
        yield True, f"{found.path.name}: {how}"
    yield from models_usable(setup.loaded.settings.models)


def models_usable(models: ModelsSettings) -> Iterator[Finding]:
    """Yield each model that may be asked: whether its package and its key are there. None is asked."""
    from lg_orch.llm.choice import choose_backend
    from lg_orch.llm.providers import LOCAL, ROLES

    planner = models.role("planner")
    if planner.provider == LOCAL:
        yield True, f"model: {planner.provider}:{planner.model} (the built-in analyst; no language model is set)"
        return
    try:
        choose_backend(models)
    except LgError as error:
        yield False, f"model: {error.message} ({error.hint})"
        return
    from lg_orch.llm.candidates import candidates
    from lg_orch.llm.wire.clients import Clients

    for candidate in dict.fromkeys(found for role in ROLES for found in candidates(models, role)):
        try:
            Clients().require_key(candidate)
        except LgError as error:
            yield False, f"model: {error.message} ({error.hint})"
        else:
            yield True, f"model: {candidate.name}{_price(models, candidate)}"


def _price(models: ModelsSettings, candidate: Candidate) -> str:
    """The price that its tokens are counted by, and where it comes from."""
    from lg_orch.llm.cost.prices import list_price
    from lg_orch.llm.providers import PROVIDERS

    if (own := models.prices.get(candidate.name)) is not None:
        return f" (${own.input:g} and ${own.output:g} per million tokens, by [models.prices])"
    found = list_price(candidate)
    if found is None:
        known = PROVIDERS.get(candidate.provider)
        if known is not None and not known.key_needed:
            return ""  # a model of one's own costs nothing that is counted here
        return " (no price is known; set one in [models.prices] to count its cost)"
    price = found.price
    return f" (${price.input:g} and ${price.output:g} per million tokens, list price of {found.checked})"


def _gateway(args: argparse.Namespace, setup: CommandSetup) -> list[Finding]:
    import anyio

    from lg_policy.quick_imports import quick_imports

    with quick_imports():
        from lg_orch.engine.driver import import_heavy

        os.chdir(setup.state.path)
        import_heavy()

    async def look() -> list[Finding]:
        from contextlib import AsyncExitStack

        from lg_orch.settings.gateway_access import opened
        from lg_orch.tools.gateway import check_root

        async with AsyncExitStack() as stack:
            log_path = setup.state.path / "doctor-gateway.log"
            connection = await opened(stack, args.gateway, setup, os.environ, log_path)
            check_root(connection.tools, setup.root_id)
            return [*_offered(connection, setup), *await _checks(connection, setup)]

    try:
        return anyio.run(look)
    except LgError as error:
        return [(False, f"gateway: {error.text()}")]


async def _checks(connection: Connection, setup: CommandSetup) -> list[Finding]:
    """What would prove a change of this repository, and from which environment it comes, or why nothing would."""
    from lg_orch.agent.checks.check_commands import MANIFESTS, missing_checks, named_checks, scripts
    from lg_orch.agent.command_list import commands_in
    from lg_orch.contracts.repository import DirectoryEntry, RepoContext
    from lg_orch.runs.run_root import root_name

    lister = next((tool for tool in connection.tools if tool.original == "list_commands" and tool.builtin), None)
    if lister is None:
        return [(True, "checks: none, because the gateway offers no command server")]
    answer = await connection.send(lister.name, {}, {}, LIST_TIMEOUT_S, None)
    names = sorted(os.listdir(setup.root))
    texts = {name: _beginning(setup.root / name) for name in MANIFESTS if name in names}
    context = RepoContext(
        root_name=root_name(setup.root),
        top_level=tuple(DirectoryEntry(path=name, type="file") for name in names[:MAX_NAMES]),
        commands=commands_in(getattr(answer, "structured_content", None)),
        scripts=scripts(texts),
    )
    named = named_checks(context)
    missing = [f"{name} cannot be run here: {why}" for name, why in missing_checks(context).items()]
    told = ", ".join(named) or "; ".join(missing) or "none: no tests were recognised at the top of the repository"
    return [(True, f"checks: {told}")]


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MANIFEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _differs(digests: set[str | None], expected: str) -> str:
    there = ", ".join(sorted(map(str, digests)))
    return f"enforces another policy ({there}) than this command's settings give ({expected})"


def _offered(connection: Connection, setup: CommandSetup) -> Iterator[Finding]:
    names = [tool.name for tool in connection.tools]
    yield bool(names), f"gateway: {connection.server or 'up'}, {len(names)} tools: {', '.join(names) or 'none'}"
    expected = setup.loaded.settings.policy_digest()
    for server in sorted({tool.server for tool in connection.tools if tool.policy is not None}):
        digests = {tool.policy for tool in connection.tools if tool.server == server}
        same = digests == {expected}
        yield same, f"{server}: {'enforces the same policy as this command' if same else _differs(digests, expected)}"
    for tool in connection.tools:
        if tool.sandbox is not None:
            active = tool.sandbox.get("active") is True
            wanted = setup.loaded.settings.exec.sandbox
            state = f"active ({tool.sandbox.get('backend')})" if active else f"not active (exec.sandbox = {wanted!r})"
            yield active or wanted == "off", f"{tool.name}: sandbox {state}"
            return
    if sys.platform != "linux":
        yield True, "no sandbox on this platform"
