"""Doubles for tests, also of those who build on this: a backend and a model that follow scripts, recorded traffic."""

from lg_orch.testing.cassette import Cassette, Miss
from lg_orch.testing.script import Scripted, broken, calls, silent, text
from lg_orch.testing.scripted_backend import ScriptedBackend
from lg_orch.testing.server import ScriptedModel

__all__ = ["Cassette", "Miss", "Scripted", "ScriptedBackend", "ScriptedModel", "broken", "calls", "silent", "text"]
