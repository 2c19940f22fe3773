"""Stores whole tool results on disk by digest, so that state, journal and trace stay small."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from lg_orch.contracts.envelopes import ToolEnvelope
from lg_policy.errors import NotFound
from lg_policy.limits import cut_text
from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BRIEF_BYTES = 600
Model = TypeVar("Model", bound=BaseModel)


class ResultStore:
    """One run's results below its directory; what this process stored or read stays in memory."""

    def __init__(self, directory: Path, keep: Callable[[str, bytes], None] | None = None) -> None:
        """`keep` gets each result before anything names it: digest and bytes."""
        self._directory = directory
        self._keep = keep
        self._known: dict[str, BaseModel] = {}
        make_private(directory)

    def put(self, value: BaseModel) -> tuple[str, int]:
        """Keep a value; returns its digest and its size in bytes."""
        data = value.model_dump_json().encode()
        digest = hashlib.sha256(data).hexdigest()
        path = self._directory / f"{digest}.json"
        if not path.exists():
            if self._keep is not None:
                self._keep(digest, data)
            replace_file(path, data)
        self._known[digest] = value
        return digest, len(data)

    def get(self, digest: str, model: type[Model]) -> Model:
        """Return a kept value. Raises `NotFound` when it is not there or not what was asked for."""
        known = self._known.get(digest)
        if isinstance(known, model):
            return known
        try:
            data = (self._directory / f"{digest}.json").read_bytes()
            value = model.model_validate_json(data)
        except (FileNotFoundError, ValidationError) as error:
            raise NotFound(f"result {digest} of this run is not stored here") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise NotFound(f"result {digest} of this run was changed on disk")
        self._known[digest] = value
        return value

    def brief(self, envelope: ToolEnvelope) -> ToolEnvelope:
        """Keep the whole envelope and return what state and trace carry instead."""
        digest, size = self.put(envelope)
        stdout, cut = cut_text(envelope.stdout, BRIEF_BYTES)
        stderr, cut_too = cut_text(envelope.stderr, BRIEF_BYTES)
        artifacts = envelope.artifacts.model_copy(
            update={"structured": None, "digest": digest, "size": size, "truncated": cut or cut_too}
        )
        return envelope.model_copy(update={"stdout": stdout, "stderr": stderr, "artifacts": artifacts})

    def all_whole(self, briefs: Sequence[ToolEnvelope]) -> list[ToolEnvelope]:
        """Return `whole` of each; quick where they are known, since each step of a run asks for all."""
        known = self._known
        return [
            kept if isinstance(kept := known.get(brief.artifacts.digest), ToolEnvelope) else self.whole(brief)
            for brief in briefs
        ]

    def whole(self, brief: ToolEnvelope) -> ToolEnvelope:
        """Return the envelope that `brief` stands for. Raises `NotFound`."""
        return self.get(brief.artifacts.digest, ToolEnvelope)
