"""Runs in the sandbox, by the project's `python -I -c`: puts files back as they were, then becomes the check.

What it writes goes to the sandbox's throw-away copy of the root. Its input is JSON on standard input: `steps`, the
newest change first; `argv`, the command; `cwd`, where it runs. Each file is compared with the digest of the state that
the run left, and with the digest of the state before. A difference ends the program with `FAILED`.

It imports nothing of this package, and any Python from 3.6 on can run it.
"""

import hashlib
import json
import os
import sys
from typing import Any, Dict, List, NoReturn, Optional  # noqa: UP035 # the project's Python may be old

FAILED = 96
"""The exit status when a file could not be put back, or the command could not be started."""
MARK = "lg-orch could not repeat this check: "
"""Stands before the reason, in standard error."""


def main() -> None:
    """Do as the input says."""
    told = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    try:
        for step in told["steps"]:
            _put_back(step)
        if told["cwd"]:
            os.chdir(told["cwd"])
    except OSError as error:
        _fail(str(error))
    argv = [sys.executable if word == "@python" else word for word in told["argv"]]
    sys.stderr.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 # it becomes the check; there is no shell to fear
    except OSError as error:
        _fail(f"{argv[0]} cannot be started there: {error.strerror}")


def _put_back(step: Dict[str, Any]) -> None:  # noqa: UP006 # the project's Python may be old
    source = step["to"] or step["path"]
    now = _read(source)
    if _digest(now) != step["after"]:
        _fail(f"{source} is not as the run left it")
    if step["before"] is None:
        os.remove(source)
        return
    before = _undone(now or b"", step["hunks"])
    if _digest(before) != step["before"]:
        _fail(f"the earlier text of {step['path']} cannot be made from the change")
    if source != step["path"] and now is not None:
        os.remove(source)
    folder = os.path.dirname(step["path"])
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(step["path"], "wb") as file:
        file.write(before)


def _undone(now: bytes, hunks: List[Any]) -> bytes:  # noqa: UP006 # the project's Python may be old
    lines = now.split(b"\n")
    lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    out = []  # type: List[bytes]
    at = 0
    for start, after, before in hunks:
        expected = [line.encode("utf-8") for line in after]
        if start < at or lines[start : start + len(expected)] != expected:
            return b""
        out += lines[at:start]
        out += [line.encode("utf-8") for line in before]
        at = start + len(expected)
    return b"".join(out + lines[at:])


def _read(path: str) -> Optional[bytes]:  # noqa: UP045 # the project's Python may be old
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _digest(data: Optional[bytes]) -> Optional[str]:  # noqa: UP045 # the project's Python may be old
    return None if data is None else hashlib.sha256(data).hexdigest()


def _fail(why: str) -> NoReturn:
    sys.stderr.write(f"{MARK}{why}\n")
    sys.exit(FAILED)


if __name__ == "__main__":
    main()
