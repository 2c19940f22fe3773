"""Looks once more, just before a start, whether what is shown still is what was named.

A confined program may write below a named directory, or in its own home. It could put a link there that leads
elsewhere, so that the next start shows or makes something else.

Not covered: a link that is put there between this look and the mount, by another program that runs meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from lg_gateway.confinement.confinement import Confinement, within
from lg_gateway.confinement.programs import in_system, is_python, links_of
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox.hidden_paths import Masks

MOUNTS = 2_000
"""Names that are masked or protected by a mount each. bubblewrap takes 9,000 arguments, and a mount needs three."""


def refuse_swapped(confinement: Confinement, shown: Iterable[str]) -> None:
    """Raise `SandboxUnavailable` where a link stands in the way of a named path or of its place in the private home."""
    for path in (*confinement.read, *confinement.write):
        if os.path.realpath(path) != path:
            raise SandboxUnavailable(
                f"{confinement.name} was not started: {path} leads to {os.path.realpath(path)} now",
                hint="remove the link, or name that path",
            )
    private = confinement.private_home
    for path in shown if private is not None else ():
        if within(path, confinement.home) and path != confinement.home:
            place = f"{os.path.realpath(str(private))}{path[len(confinement.home) :]}"
            if os.path.realpath(place) != place:
                raise SandboxUnavailable(
                    f"{confinement.name} was not started: {place} has a link in it, where {path} is to be shown",
                    hint="remove the link; the program has put it there",
                )


def refuse_planted(confinement: Confinement, program: str, needed: Iterable[str]) -> None:
    """Raise `SandboxUnavailable` where a program that may change its own command has it lead to anything private.

    What a command leads to is shown without being named. A link out of a writable directory is followed to the system,
    to named paths and to installations of Python only.
    """
    if not os.path.isabs(program) or not any(
        within(place, path) for place in links_of(program) for path in confinement.write
    ):
        return
    named = (*confinement.read, *confinement.write)
    for path in needed:
        real = os.path.realpath(path)
        install = os.path.dirname(os.path.dirname(real))
        if not (
            in_system(real)
            or any(within(real, place) for place in named)
            or is_python(real, confinement.home)
            or is_python(install, confinement.home)
        ):
            raise SandboxUnavailable(
                f"{confinement.name} was not started: its command lies where it may write, and {path} leads to {real}",
                hint="name that path in `read`, or remove the link if the program has put it there",
            )


def refuse_too_many(confinement: Confinement, masks: Masks, pinned: int) -> None:
    """Raise `SandboxUnavailable` if there are more names to mask or protect than can be."""
    count = len(masks.hidden_files) + len(masks.hidden_dirs) + len(masks.protected) + pinned
    if count > MOUNTS:
        raise SandboxUnavailable(
            f"{confinement.name} was not started: {count} names below {confinement.masked_root} are to be masked or"
            f" protected, and {MOUNTS} can be",
            hint="show a smaller directory, or write patterns that match a directory as a whole",
        )
