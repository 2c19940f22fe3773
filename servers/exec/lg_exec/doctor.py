"""`lg-exec doctor`: what is enforced on this machine, found by trying."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from lg_exec.setup import Assembly


def examine(assembly: Assembly, out: TextIO) -> int:
    """Print the findings; returns 0 if commands can run as configured, else 1."""
    executor = assembly.executor
    report = executor.backend.report
    print(f"root        {assembly.root.path} (opens confined by {assembly.root.method})", file=out)
    print(f"settings    {', '.join(assembly.sources)}; policy {assembly.settings.policy_digest()}", file=out)
    if report.active:
        print(f"sandbox     {report.backend}", file=out)
    elif report.backend == "off":
        print("sandbox     OFF by configuration: commands run unconfined, with this user's rights", file=out)
    else:
        print(f"sandbox     none: {assembly.why}; exec answers sandbox_unavailable", file=out)
    for name, result in executor.backend.probes.items():
        print(f"  {name:<32}{result}", file=out)
    for limit, mechanism in sorted(report.enforced.items()):
        print(f"  {limit:<32}{mechanism}", file=out)
    projects = assembly.programs.projects()
    print(f"environment {', '.join(project.path for project in projects) or 'none found'}", file=out)
    for entry in executor.catalogue():
        state = "available" if entry["available"] else f"not available: {entry['reason']}"
        print(f"command     {entry['name']:<14}{state}", file=out)
    return 0 if report.active or report.backend == "off" else 1
