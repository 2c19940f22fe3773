"""Runs `lg-exec doctor`: tries the sandbox and every limit on this machine, and prints which hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import anyio

from lg_exec.sandbox.interface import NoBackend
from lg_exec.server.limit_probes import HELD, try_limits

if TYPE_CHECKING:
    from lg_exec.sandbox.interface import Backend
    from lg_exec.server.setup import Assembly


def examine(assembly: Assembly, out: TextIO) -> int:
    """Print what was found. Return 0 if commands can run as configured and every limit held, else 1. Takes seconds."""
    executor = assembly.executor
    report = executor.backend.report
    print(f"root        {assembly.root.path} (opens confined by {assembly.root.method})", file=out)
    print(f"settings    {', '.join(assembly.sources)}; policy {assembly.settings.policy_digest()}", file=out)
    if report.active:
        print(f"sandbox     {report.backend}", file=out)
    elif report.backend == "off":
        print("sandbox     OFF in the settings: commands run unconfined, with your rights", file=out)
    else:
        print(f"sandbox     none: {assembly.why}; exec answers sandbox_unavailable", file=out)
    for name, result in executor.backend.probes.items():
        print(f"  {name:<32}{result}", file=out)
    limits = _limits(executor.backend)
    for limit, result in limits.items():
        held_by = f", {report.enforced[limit]}" if limit in report.enforced else ""
        print(f"  limit: {limit:<25}{result}{held_by}", file=out)
    for name, mechanism in sorted(report.enforced.items()):
        if name not in limits:
            print(f"  {name:<32}{mechanism}", file=out)
    projects = assembly.programs.projects()
    names = [f"{project.path} ({project.why})" if project.why else project.path for project in projects]
    print(f"environment {', '.join(names) or 'none found'}", file=out)
    for entry in executor.catalogue():
        state = "available" if entry["available"] else f"not available: {entry['reason']}"
        print(f"command     {entry['name']:<14}{state}", file=out)
    works = report.active or report.backend == "off"
    return 0 if works and all(result == HELD for result in limits.values()) else 1


def _limits(backend: Backend) -> dict[str, str]:
    """Try every limit, if commands can run at all."""
    return {} if isinstance(backend, NoBackend) else anyio.run(try_limits, backend)
