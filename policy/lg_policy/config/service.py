"""Settings: the run service, `lg-orch serve` and `lg-orch worker`. Part of the tree in `config`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from lg_policy.config.clone_address import allowed_prefix
from lg_policy.config.http import SafeUrl
from lg_policy.config.section import PositiveFloat, PositiveInt, Section


def repository(text: str) -> str:
    """Return a repository that runs may name: an absolute path without `..`. Raises `ValueError`."""
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(
            f"{text!r} must be an absolute path without `..`; service.clone_from allows addresses to clone from"
        )
    return text


def author(text: str) -> str:
    """Return an author of commits as git names one. Raises `ValueError`."""
    if _AUTHOR.fullmatch(text) is None:
        raise ValueError(f"{text!r} must read NAME <ADDRESS>, such as lg-orch <lg-orch@example.com>")
    return text


def absolute(text: str) -> str:
    """Return an absolute path. Raises `ValueError`."""
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} must be an absolute path without `..`")
    return text


_AUTHOR = re.compile(r"[^<>\x00-\x1f\x7f-\x9f\s][^<>\x00-\x1f\x7f-\x9f]{0,99} <[^<>\s\x00-\x1f\x7f-\x9f]{1,100}>")
Repository = Annotated[str, AfterValidator(repository)]
AbsolutePath = Annotated[str, AfterValidator(absolute)]


class ServiceSettings(Section):
    """The run service."""

    repositories: tuple[Repository, ...] = ()
    """Repositories that runs may name, besides the one that the service was started in: absolute paths of directories
    that are there. A `*` at the end stands for anything that follows."""
    gateways: dict[str, SafeUrl] = Field(default_factory=dict)
    """Addresses of running gateways by the path of their repository, such as
    `{ "/srv/api" = "https://gate.example.com/mcp" }`. Runs of other repositories start a gateway of their own, or use
    that of `--gateway`."""
    clone_from: tuple[Annotated[str, AfterValidator(allowed_prefix)], ...] = ()
    """Addresses that runs may have cloned, each with everything below it: `https://git.example.com/team`,
    `ssh://git@git.example.com/team` or `file:///srv/git`. By default nothing is cloned."""
    clone_depth: Annotated[int, Field(ge=0)] = 50
    """Commits of a clone's history; 0 for all of them."""
    clone_timeout_s: PositiveFloat = 300
    """Seconds for a clone."""
    clone_max_mb: PositiveInt = 2_000
    """Megabytes of a clone."""
    git_config: AbsolutePath | None = None
    """A file of git settings for clones, such as a credential helper or a proxy. The settings of the user who runs the
    worker do not count. Programs that it names are run."""
    workspaces: AbsolutePath | None = None
    """Where clones are kept; by default below the state directory. Workers on several machines need a path that all of
    them share, or a run cannot be taken over on another machine."""
    commit_author: Annotated[str, AfterValidator(author)] = "lg-orch <lg-orch@localhost>"
    """Author of the commit that holds what a run changed in a clone."""
    concurrency: PositiveInt = 2
    """Runs that one worker drives at the same time. A repository has one run at a time, whatever this is."""
    gateway_idle_s: Annotated[float, Field(ge=0, le=86_400)] = 120
    """Seconds that a worker keeps the gateway of a run for the next run of the same repository under the same settings,
    for an hour at most. 0 ends it with its run."""
    gateways_kept: PositiveInt = 4
    """Gateways that a worker keeps at the same time. One more ends the one that was not used for longest."""
    max_body_kb: PositiveInt = 256
    """Kibibytes of one request to the API."""
    allowed_hosts: tuple[str, ...] = ()
    """`Host` values that are accepted besides loopback ones. Set it to listen on any other address."""
    allowed_origins: tuple[str, ...] = ()
    """`Origin` values of web pages that may call with a token, such as `https://app.example.com`."""
    max_streams: PositiveInt = 100
    """Event streams that may be open at once."""
    max_queued: PositiveInt = 10_000
    """Runs that may wait for a worker. One more is refused."""
    heartbeat_s: PositiveFloat = 5
    """Seconds between two signs of life of a worker."""
    lease_s: PositiveFloat = 20
    """Seconds without a sign of life until another worker takes a run over."""
    langgraph_api: bool = False
    """Whether `/lg` answers as LangGraph Server does, for its clients and user interfaces."""
    keep_days: Annotated[float, Field(ge=0)] = 30
    """Days that a run is kept after it ended, with its events, files and clone; 0 keeps it for good. A run that waits
    for a human has not ended."""
    max_attempts: PositiveInt = 5
    """How often a run is begun by workers that are lost while they drive it. After that it has failed."""
