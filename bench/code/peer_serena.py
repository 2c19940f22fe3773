"""Asks Serena's language-server layer who uses some names. Runs in an environment with `serena-agent`, without ours."""

from __future__ import annotations

import json
import logging
import resource
import sys
import tempfile
import time
from typing import Any


def cpu() -> float:
    """Return the CPU seconds of this process and of the language servers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Read a request, print where the language server finds each name used."""
    logging.disable(logging.CRITICAL)
    from solidlsp.ls import SolidLanguageServer
    from solidlsp.ls_config import LanguageServerConfig, LanguageServerId
    from solidlsp.settings import SolidLSPSettings

    asked = json.load(sys.stdin)
    identifier = getattr(LanguageServerId, asked["server"])
    with tempfile.TemporaryDirectory() as data:
        settings = SolidLSPSettings(
            solidlsp_dir=f"{data}/lsp",
            project_data_path=f"{data}/data",
            ls_specific_settings={identifier: {"ls_path": asked["program"]}} if asked["program"] else {},
        )
        begun = time.monotonic()
        server = SolidLanguageServer.create(
            LanguageServerConfig(ls_id=identifier), asked["root"], solidlsp_settings=settings
        )
        server.start()
        answers: list[dict[str, Any]] = []
        ready = time.monotonic() - begun
        for name in asked["names"]:
            start = time.monotonic()
            found = server.request_references(name["path"], name["line"] - 1, name["column"])
            places = sorted({(place["relativePath"], place["range"]["start"]["line"] + 1) for place in found})
            answers.append({"places": places, "wall_s": time.monotonic() - start})
        server.stop()
    print(json.dumps({"answers": answers, "ready_s": ready, "cpu_s": cpu()}))


if __name__ == "__main__":
    main()
