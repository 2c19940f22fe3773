"""A small process that lives a little longer than this server, and ends what a killed server has left.

bubblewrap ends its command when this server dies, except in the few milliseconds while it builds a sandbox. Without a
sandbox nothing does. So every command has a mark of this server in its environment, and a shell waits for the server's
end of a pipe to close. Then it kills what still has the mark, and removes the control groups and the scratch directory.
A server that has ended its commands itself says so first.

Not covered: systems without `/proc`, and unconfined commands that replace their environment.
"""

from __future__ import annotations

import secrets
import subprocess

from lg_policy.changes.removal import remove_tree

MARK = "LG_EXEC_SERVER"
GROUPS = "groups"
"""A file in the scratch directory. Each line is how the names of control groups begin in one place."""
# Two empty rounds in a row: a process that was just being started shows its environment in the second.
_SCRIPT = """
while read -r word; do [ "$word" = clean ] && exit 0; done
empty=0
while [ "$empty" -lt 2 ]; do
    empty=$((empty + 1))
    for found in $(grep -lsaF "$1" /proc/[0-9]*/environ); do
        found=${found#/proc/}
        kill -9 "${found%/environ}" 2>/dev/null && empty=0
    done
    sleep 0.2
done
[ ! -f "$2/groups" ] || while read -r prefix; do rmdir "$prefix"* 2>/dev/null; done <"$2/groups"
chmod -R u+rwX "$2" 2>/dev/null
rm -rf "$2"
"""


class Lifeline:
    """Runs as long as this server. `environment` is part of the environment of every command."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._mark = secrets.token_hex(16)
        self.environment = {MARK: self._mark}
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "sh", f"{MARK}={self._mark}", scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Return the process that waits."""
        return self._process.pid

    def close(self) -> None:
        """Remove the scratch directory and let the process go. Every command must have ended."""
        remove_tree(self._scratch)
        self._process.communicate(b"clean\n", timeout=10)
