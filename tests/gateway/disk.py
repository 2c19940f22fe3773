"""What a power cut leaves of a folder: every file as it was when it was last synced."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support import require

# Reads through the descriptor: opening the file again and closing it would drop SQLite's locks on it.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void keep(int fd) {
    char link[64], path[4096], target[8300], part[8400], data[65536];
    const char *folder = getenv("LG_TEST_DISK"), *name;
    ssize_t length, got;
    off_t at = 0;
    int out;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (folder == NULL || length <= 0) return;
    path[length] = 0;
    name = strrchr(path, '/');
    snprintf(target, sizeof target, "%s%s", folder, name);
    snprintf(part, sizeof part, "%s.%d.part", target, getpid());
    out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while ((got = pread(fd, data, sizeof data, at)) > 0) at += write(out, data, got);
    close(out);
    rename(part, target);
}

int fsync(int fd) {
    int done = ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
    if (done == 0) keep(fd);
    return done;
}

int fdatasync(int fd) {
    int done = ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
    if (done == 0) keep(fd);
    return done;
}
"""


class Disk:
    """Watches what a program syncs; start it with `environment`."""

    def __init__(self, place: Path) -> None:
        compiler = shutil.which("cc")
        require(compiler is not None, "a C compiler")
        place.mkdir()
        self.folder = place / "synced"
        self.folder.mkdir()
        source, library = place / "disk.c", place / "disk.so"
        source.write_text(SOURCE)
        subprocess.run([str(compiler), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "LG_TEST_DISK": str(self.folder)}

    def cut(self, path: Path) -> None:
        """Leave of a file, and of the log beside it, what was synced."""
        for name in (path.name, f"{path.name}-wal"):
            path.with_name(name).unlink(missing_ok=True)
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, path.with_name(name))
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)

    def copy(self, name: str, target: Path) -> Path:
        """Copy what a power cut would leave of a store now, and return where it is."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for part in (name, f"{name}-wal"):
            if (self.folder / part).exists():
                shutil.copy(self.folder / part, target / part)
        return target / name
