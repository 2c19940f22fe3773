"""A small process that outlives this server just long enough to end what a killed server left behind.

bubblewrap ends its command when this server dies, except in the few milliseconds while a sandbox is being built;
without a sandbox nothing does. So every command carries this server's mark in its environment, and a shell waits for
the server's end of a pipe to close: then it kills what still carries the mark, and removes its control groups and the
scratch directory. A server that ended its commands itself says so first.

Not covered: systems without `/proc`, and unconfined commands that replace their environment.
"""

from __future__ import annotations

import secrets
import subprocess

from lg_exec.carry.removal import remove_tree

MARK = "LG_EXEC_SERVER"
GROUPS = "groups"
"""A file in the scratch directory: a line for each place where control groups are made, with how their names begin."""
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
    """Runs for as long as this server. `environment` goes into every command's own."""

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
        """The process that waits."""
        return self._process.pid

    def close(self) -> None:
        """Every command has ended: remove the scratch directory and let the process go."""
        remove_tree(self._scratch)
        self._process.communicate(b"clean\n", timeout=10)
