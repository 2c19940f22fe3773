"""Confinement by descriptor, both methods, against links, races and odd names."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lg_policy.errors import ConfigError, InvalidArguments, LgError, NotFound, PolicyDenied
from lg_policy.paths.mounts import on_own_disk
from lg_policy.paths.open_names import name_below
from lg_policy.paths.root import Root, write_atomic
from tests.support import descriptors, require


@pytest.fixture(params=["openat2", "dir_fd"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Root]:
    base = tmp_path / "root"
    (base / "a" / "b").mkdir(parents=True)
    (base / "a" / "b" / "f.txt").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("outside")
    (tmp_path / "root-sibling").mkdir()
    (tmp_path / "root-sibling" / "s.txt").write_text("outside")
    with Root(base) as opened:
        require(request.param != "openat2" or opened.method == "openat2", "a kernel with openat2")
        opened.method = request.param
        yield opened


def link(root: Root, name: str, target: str | Path) -> None:
    (root.path / name).symlink_to(target)


@pytest.mark.parametrize("path", ["a/b/f.txt", "./a//b/./f.txt", "a/b/f.txt/"])
def test_spellings_of_one_file_open_it_under_one_name(root: Root, path: str) -> None:
    with root.open_file(path) as opened:
        assert opened.rel == "a/b/f.txt"
        assert os.read(opened.fd, 100) == b"inside"


def test_an_absolute_path_below_the_root_is_accepted(root: Root) -> None:
    with root.open_file(f"{root.path}/a/b/f.txt") as opened:
        assert opened.rel == "a/b/f.txt"


def test_links_that_stay_inside_work_and_give_the_resolved_name(root: Root) -> None:
    link(root, "relative", "a/b")
    link(root, "absolute", root.path / "a")
    link(root, "chain", "relative")
    link(root, "a/back", "../a/b/../b/f.txt")
    link(root, "self", "a/..")
    for path in ("relative/f.txt", "absolute/b/f.txt", "chain/f.txt", "a/back", "self/a/b/f.txt"):
        with root.open_file(path) as opened:
            assert opened.rel == "a/b/f.txt"
    with root.open_dir("self") as opened:
        assert opened.rel == ""


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "../outside/secret.txt",
        "a/../../outside/secret.txt",
        "/proc/self/root/etc/passwd",
        "../root-sibling/s.txt",
    ],
)
def test_links_that_leave_are_refused(root: Root, target: str) -> None:
    link(root, "out", target)
    with pytest.raises((PolicyDenied, NotFound)):
        root.open_file("out")


def test_a_directory_link_that_leaves_is_refused_for_what_is_below_it(root: Root) -> None:
    link(root, "out", "../outside")
    with pytest.raises(PolicyDenied, match="leads out of the root"):
        root.open_file("out/secret.txt")
    with pytest.raises(PolicyDenied):
        root.open_dir("out")


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.txt",
        "a/../../outside/secret.txt",
        "a/../a/b/f.txt",
        "..",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/stdin",
    ],
)
def test_dot_dot_and_absolute_paths_outside_are_refused(root: Root, path: str) -> None:
    with pytest.raises(PolicyDenied):
        root.open_file(path)


def test_a_sibling_with_the_root_as_prefix_is_outside(root: Root) -> None:
    with pytest.raises(PolicyDenied):
        root.open_file(f"{root.path}-sibling/s.txt")


@pytest.mark.parametrize(
    "path", ["a\0b", "a\nb", "a\x7fb", "\ud800", "x" * 5000, "x" * 300, "/".join(["a"] * 2000) + "/" + "y" * 300]
)
def test_names_that_cannot_be_are_refused_with_a_reason(root: Root, path: str) -> None:
    with pytest.raises(InvalidArguments):
        root.open_file(path)


def test_a_link_loop_ends(root: Root) -> None:
    link(root, "loop", "loop")
    link(root, "ping", "pong")
    link(root, "pong", "ping")
    for path in ("loop", "ping", "ping/x"):
        with pytest.raises(PolicyDenied, match="too many"):
            root.open_file(path)


def test_only_regular_files_are_opened_and_nothing_blocks(root: Root) -> None:
    os.mkfifo(root.path / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root.path / "sock"))
    for path, kind in (("fifo", "FIFO"), ("sock", "socket"), ("a", "directory"), ("", "directory")):
        with pytest.raises(InvalidArguments, match=kind):
            root.open_file(path)
    listener.close()
    with pytest.raises(InvalidArguments, match="not a directory"):
        root.open_dir("a/b/f.txt")
    with pytest.raises(NotFound):
        root.open_file("nope")
    link(root, "dangling", "nope")
    with pytest.raises(NotFound):
        root.open_file("dangling")


def test_a_refused_open_leaves_no_descriptor_behind(root: Root) -> None:
    link(root, "out", "../outside")
    before = descriptors()
    for path in ("out/secret.txt", "a", "nope", "..", "a/b/f.txt/x"):
        with pytest.raises(LgError):
            root.open_file(path)
    with root.open_file("a/b/f.txt"):
        pass
    assert not descriptors() - before


@pytest.mark.parametrize("bad", ["/", "~", "missing", "file"])
def test_roots_that_are_too_broad_or_none_are_refused(tmp_path: Path, bad: str) -> None:
    (tmp_path / "file").touch()
    path = {"/": "/", "~": os.path.expanduser("~")}.get(bad, str(tmp_path / bad))
    with pytest.raises(ConfigError):
        Root(path)


def test_a_broad_root_opens_when_it_is_asked_for() -> None:
    with Root("/", allow_broad=True) as root:
        assert root.normalise("/etc/hosts") == "etc/hosts"


def test_an_atomic_write_makes_directories_and_keeps_no_temporary(root: Root) -> None:
    write_atomic(root, "x/y/z.txt", b"one")
    write_atomic(root, "x/y/z.txt", b"two", mode=0o600)
    assert (root.path / "x/y/z.txt").read_bytes() == b"two"
    assert os.listdir(root.path / "x/y") == ["z.txt"]
    assert stat.S_IMODE((root.path / "x/y/z.txt").stat().st_mode) == 0o600


def test_an_atomic_write_refuses_links_on_the_way_and_replaces_one_in_place(root: Root) -> None:
    link(root, "out", "../outside")
    link(root, "inner", "a")
    link(root, "file", "../outside/secret.txt")
    for path in ("out/x", "inner/x", "out/new/x"):
        with pytest.raises(PolicyDenied):
            write_atomic(root, path, b"x")
    write_atomic(root, "file", b"mine")
    outside = root.path.parent / "outside"
    assert (outside / "secret.txt").read_text() == "outside"
    assert os.listdir(outside) == ["secret.txt"]
    assert not (root.path / "file").is_symlink()


def test_a_directory_swapped_for_a_link_while_opening_never_leads_out(root: Root) -> None:
    """A racing thread exchanges a directory and a link to the outside; no read may return the outside's bytes."""
    (root.path / "d").mkdir()
    (root.path / "d" / "secret.txt").write_text("inside")
    link(root, "swap", "../outside")
    done = threading.Event()

    def race() -> None:
        while not done.is_set():
            os.rename(root.path / "d", root.path / "t")
            os.rename(root.path / "swap", root.path / "d")
            os.rename(root.path / "d", root.path / "swap")
            os.rename(root.path / "t", root.path / "d")

    thread = threading.Thread(target=race)
    thread.start()
    seen: set[bytes] = set()
    try:
        for _ in range(3000):
            try:
                with root.open_file("d/secret.txt") as opened:
                    seen.add(os.read(opened.fd, 100))
            except LgError:
                continue
    finally:
        done.set()
        thread.join()
    assert seen <= {b"inside"}


def test_what_could_keep_a_reader_waiting_is_not_opened_at_once(root: Root, tmp_path: Path) -> None:
    link(root, "link", "a/b/f.txt")
    link(root, "out", tmp_path / "outside" / "secret.txt")
    os.mkfifo(root.path / "pipe")
    for path in ("link", "out", "pipe", "a", "missing", ""):
        assert root.open_at_once(path) is None
    with pytest.raises(PolicyDenied):
        root.open_at_once("../outside/secret.txt")
    opened = root.open_at_once("a/b/f.txt")
    assert (opened is not None) == (root.method == "openat2" and on_own_disk(str(root.path)))
    if opened is not None:
        with opened:
            assert (opened.rel, os.read(opened.fd, 100)) == ("a/b/f.txt", b"inside")


def test_a_file_on_a_mount_below_the_root_is_not_opened_at_once() -> None:
    with Root("/", allow_broad=True) as everything:
        assert everything.open_at_once("proc/self/status") is None


def test_a_link_of_the_kernel_is_not_followed_even_to_a_place_below_the_root() -> None:
    with Root("/proc/self") as process, open(f"{process.path}/status", encoding="ascii") as status:
        require(process.method == "openat2", "a kernel with openat2")
        for path in (f"fd/{status.fileno()}", "cwd", "root", "exe"):
            with pytest.raises(PolicyDenied, match="may not be followed"):
                process.open_file(path)


def test_an_open_file_that_was_removed_has_no_name_whatever_lies_in_its_place(tmp_path: Path) -> None:
    require(os.path.isdir("/proc/self/fd"), "the kernel's names of open files")
    removed, kept = tmp_path / "f", tmp_path / "g"
    removed.write_text("x")
    os.link(removed, kept)
    with Root(tmp_path) as root, root.open_file("f") as opened:
        assert name_below(root.fd, opened.fd) == "f"
        removed.unlink()
        assert name_below(root.fd, opened.fd) is None
        lookalike = tmp_path / "f (deleted)"
        lookalike.symlink_to("g")
        assert name_below(root.fd, opened.fd) is None
        lookalike.unlink()
        os.link(kept, lookalike)
        assert name_below(root.fd, opened.fd) == "f (deleted)"
        lookalike.unlink()
        lookalike.write_text("another file")
        assert name_below(root.fd, opened.fd) is None


def test_an_open_file_that_left_the_root_is_outside(tmp_path: Path) -> None:
    require(os.path.isdir("/proc/self/fd"), "the kernel's names of open files")
    base, sibling = tmp_path / "root", tmp_path / "root-sibling"
    base.mkdir()
    sibling.mkdir()
    (base / "f").write_text("x")
    with Root(base) as root, root.open_file("f") as opened:
        os.rename(base / "f", sibling / "f")
        with pytest.raises(OSError, match="moved out of the root"):
            name_below(root.fd, opened.fd)
        assert name_below(root.fd, root.fd) == ""


@pytest.mark.parametrize("path", ["", ".", "./"])
def test_the_root_itself_has_no_parent_to_be_changed_in(root: Root, path: str) -> None:
    with pytest.raises(InvalidArguments, match="names the root itself"):
        root.open_parent(path)


def test_a_directory_that_the_system_does_not_make_is_an_error_of_its_own() -> None:
    require(os.path.isdir("/sys/kernel"), "the kernel's own file system, in which nobody makes directories")
    with Root("/sys/kernel") as kernel, pytest.raises(PolicyDenied):
        kernel.make_dirs("new/directory")
