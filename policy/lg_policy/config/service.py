"""Settings: the run service, `lg-orch serve` and `lg-orch worker`. Part of the tree in `config`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from lg_policy.config.http import SafeUrl
from lg_policy.config.section import PositiveFloat, PositiveInt, Section


def repository(text: str) -> str:
    """Return a repository that runs may name: an absolute path without `..`. Raises `ValueError`."""
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} must be an absolute path without `..`; a repository is not cloned from an address")
    return text


Repository = Annotated[str, AfterValidator(repository)]


class ServiceSettings(Section):
    """The run service."""

    repositories: tuple[Repository, ...] = ()
    """Repositories that runs may name, besides the one that the service was started in: absolute paths of directories
    that are there. A `*` at the end stands for anything that follows."""
    gateways: dict[str, SafeUrl] = Field(default_factory=dict)
    """Addresses of running gateways by the path of their repository, such as
    `{ "/srv/api" = "https://gate.example.com/mcp" }`. Runs of other repositories start a gateway of their own, or use
    that of `--gateway`."""
    concurrency: PositiveInt = 2
    """Runs that one worker drives at the same time. A repository has one run at a time, whatever this is."""
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
    max_attempts: PositiveInt = 5
    """How often a run is begun by workers that are lost while they drive it. After that it has failed."""
