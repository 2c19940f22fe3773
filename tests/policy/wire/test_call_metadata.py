"""Keys and run ids arrive in `_meta` or as baggage; two voices must agree."""

from __future__ import annotations

import pytest

from lg_policy.errors import InvalidArguments
from lg_policy.wire.call_metadata import idempotency_key, run_fields


def test_the_key_comes_from_either_place() -> None:
    assert idempotency_key({"lg/idempotency-key": "r:1"}) == "r:1"
    assert idempotency_key({"baggage": "other=1, idempotency-key=r%3A1;prop=x"}) == "r:1"
    assert idempotency_key({"lg/idempotency-key": "r:1", "baggage": "idempotency-key=r%3A1"}) == "r:1"
    assert idempotency_key({}) is None


def test_run_fields_are_strings_from_either_place() -> None:
    assert run_fields({"lg/run": {"run_id": "r", "epoch": 2, "step": "s"}}) == {
        "run_id": "r",
        "epoch": "2",
        "step": "s",
    }
    assert run_fields({"baggage": "lg-run=r,lg-epoch=2"}) == {"run_id": "r", "epoch": "2"}


@pytest.mark.parametrize(
    "meta",
    [
        {"lg/idempotency-key": "a", "baggage": "idempotency-key=b"},
        {"lg/idempotency-key": ""},
        {"lg/idempotency-key": "x" * 201},
        {"lg/idempotency-key": "a\nb"},
        {"lg/idempotency-key": {"a": 1}},
    ],
)
def test_disagreement_and_nonsense_are_refused(meta: dict[str, object]) -> None:
    with pytest.raises(InvalidArguments):
        idempotency_key(meta)


def test_a_run_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidArguments):
        run_fields({"lg/run": "r"})
