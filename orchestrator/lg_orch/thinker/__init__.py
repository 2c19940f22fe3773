"""A mind that asks language models through LangChain's `init_chat_model`."""

from lg_orch.thinker.mind import ModelMind
from lg_orch.thinker.requests import Models

__all__ = ["ModelMind", "Models"]
