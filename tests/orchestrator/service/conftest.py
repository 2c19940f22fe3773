"""What tests of the service share."""

from __future__ import annotations

import os

import pytest

EXAMPLES = int(os.environ.get("LG_API_EXAMPLES", "8"))  # read early: each test runs without the variables


@pytest.fixture
def api_examples() -> int:
    """Requests for each address and method; `LG_API_EXAMPLES` asks for more, by hand."""
    return EXAMPLES
