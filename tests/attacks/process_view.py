"""What the kernel shows of a process, and what its memory holds."""

from __future__ import annotations

import os
import re
from pathlib import Path

STATUS = ("Name", "Umask", "TracerPid", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt",
          "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")  # fmt: skip


def seen_from_outside(pid: int, start: str) -> dict[str, object]:
    """What the kernel says of a process, without numbers that are new for each."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    words = (folder / "stat").read_text().rpartition(")")[2].split()
    text = {name: (folder / name).read_bytes().decode() for name in ("cmdline", "environ")}
    opened = {int(entry.name): re.sub(r"\d+", "N", os.readlink(entry)) for entry in (folder / "fd").iterdir()}
    return {
        **{name: value.replace(f"/{start}/", "/").replace(f"LG_START={start}\0", "") for name, value in text.items()},
        **{name: status[name] for name in STATUS},
        "cwd": os.readlink(folder / "cwd").replace(f"/{start}/", "/"),
        "exe": os.readlink(folder / "exe"),
        "limits": (folder / "limits").read_text(),
        "nice": words[16],
        "oom": (folder / "oom_score_adj").read_text(),
        "parent": words[1],
        "leads": (words[2] == str(pid), words[3] == str(pid)),
        "terminal": words[4],
        "files": sorted(opened.items()),
    }


def addresses(pid: int) -> set[str]:
    """Where a process has its libraries: a fork has them where its parent has."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[0] for line in lines if "_pydantic_core" in line}


def holds(pid: int, secrets: list[bytes]) -> bool:
    """Whether the memory of a process holds one of them."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            places, rights = line.split()[:2]
            if not rights.startswith("r") or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            begin, end = (int(place, 16) for place in places.split("-"))
            memory.seek(begin)
            content = memory.read(end - begin)
            if any(secret in content for secret in secrets):
                return True
    return False
