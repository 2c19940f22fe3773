"""Which repositories runs may work on, and under which settings."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_policy.clones.workspaces import Workspaces
from lg_policy.config.clone_address import CloneAddress, clone_address, is_address, prefix_allows
from lg_policy.errors import ConfigError, InvalidArguments, PolicyDenied
from lg_policy.printing import quote
from lg_policy.state import open_state, root_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.settings.setup import CommandSetup


@dataclass(frozen=True, kw_only=True)
class Repositories:
    """What the service was started with, for all of its runs."""

    home: Path
    """The repository of runs that name none."""
    allowed: tuple[str, ...]
    """`service.repositories`."""
    workspaces: Workspaces
    """Where clones are."""
    clone_from: tuple[str, ...] = ()
    """`service.clone_from`."""
    flags: argparse.Namespace
    """Of the command that started the service: settings file, profile, state directory, gateway."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def resolve(self, named: str | None) -> tuple[str, str, str]:
        """Return a repository's name, its directory and the id that runs of it share.

        A repository that is to be cloned has neither yet: each run has a clone of its own. Raises
        `InvalidArguments` for what is no repository, `PolicyDenied` for one that is not allowed.
        """
        if named is None:
            return str(self.home), str(self.home), root_id(self.home)
        if is_address(named):
            return self.address(named).text, "", ""
        real = os.path.realpath(named)
        if real != str(self.home):
            self._require(real)
        if not os.path.isdir(real):
            raise InvalidArguments(f"repository {named!r} is not a directory of this machine")
        return real, real, root_id(Path(real))

    def address(self, named: str) -> CloneAddress:
        """Return where to clone from. Raises `InvalidArguments` for what is no address, `PolicyDenied` for another."""
        try:
            asked = clone_address(named)
        except ValueError as error:
            raise InvalidArguments(
                f"repository {quote(named)} is neither an absolute path nor an address to clone from: {error}",
                hint="name a directory of the service's machine, such as /srv/repos/api, or an address of "
                "service.clone_from",
            ) from error
        if not any(prefix_allows(prefix, asked) for prefix in self.clone_from):
            raise PolicyDenied(
                f"repository {quote(named)} is not one that may be cloned",
                hint="an operator adds its address, or what it begins with, to service.clone_from",
            )
        return asked

    def _require(self, name: str) -> None:
        if not any(_allows(pattern, name) for pattern in self.allowed):
            raise PolicyDenied(
                f"repository {name!r} is not one that runs may work on",
                hint="an operator adds it to service.repositories",
            )

    def state(self, root: str) -> Path:
        """Return the state directory of a repository. Raises `ConfigError`."""
        explicit = self.flags.state_dir or self.workspaces.state_of(root)
        return open_state(root=Path(root or self.home), explicit=explicit, environ=self.environ).path

    def setup(self, root: str, options: Mapping[str, Any]) -> CommandSetup:
        """Return the settings of a run. Raises `ConfigError`."""
        from lg_orch.settings.setup import LIMITS, prepare

        if not root.startswith("/"):
            raise ConfigError(
                "the run names no directory to work on", hint="begin a new run with the absolute path of its repository"
            )

        limits = {name: options.get(name) for name in LIMITS}
        state = self.flags.state_dir or self.workspaces.state_of(root)
        given = {**vars(self.flags), "state_dir": state, "root": Path(root), "model": options.get("model"), **limits}
        return prepare(argparse.Namespace(**given), self.environ)

    def refuse_raised(self, options: Mapping[str, Any], root: str) -> None:
        """Raise `InvalidArguments` for limits over those of the service's settings, and for an unknown model's name."""
        try:
            # A clone is not there yet. Its own settings can only be as those of any repository that nobody trusts.
            ours = self.setup(root or str(self.home), {}).loaded.settings.budgets
            self.setup(root or str(self.home), {"model": options.get("model")})
        except ConfigError as error:
            raise InvalidArguments(error.message, hint=error.hint) from error
        for name in ("max_tokens", "max_cost_usd", "max_wall_s"):
            asked = options.get(name)
            if asked is not None and asked > getattr(ours, name):
                raise InvalidArguments(
                    f"{name} is {asked:g}, and the service allows {getattr(ours, name):g}",
                    hint=f"ask for less, or have an operator raise budgets.{name}",
                )


def _allows(pattern: str, name: str) -> bool:
    if not pattern.endswith("*"):
        return name == pattern or name == os.path.realpath(pattern)
    # A directory above may be a symbolic link; names are resolved already.
    above, _, begin = pattern[:-1].rpartition("/")
    return name.startswith(f"{os.path.realpath(above or '/').rstrip('/')}/{begin}")
