"""The API keeps to its own description: schemathesis makes requests of it, good and bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.orchestrator.service.serving import serving

if TYPE_CHECKING:
    from pathlib import Path


def test_every_address_answers_as_the_description_says(tmp_path: Path, api_examples: int) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.strategies import one_of

    root = tmp_path / "repo"
    root.mkdir()
    with serving(root, worker=False) as api:
        run_id = api.create("summarize repo")
        address = f"http://127.0.0.1:{api.port}"
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        headers = {"Authorization": f"Bearer {api.token}"}
        tried: set[str] = set()
        for found in schema.get_all_operations():
            operation = found.ok()  # type: ignore[union-attr]  # a description that cannot be read fails here
            tried.add(operation.label)

            @settings(
                max_examples=api_examples, deadline=None, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=one_of(*map(operation.as_strategy, schemathesis.GenerationMode)))
            def check(case: Any) -> None:
                if "run_id" in case.path_parameters:
                    case.path_parameters["run_id"] = run_id
                if case.operation.path.endswith("/events"):
                    case.query = {**(case.query or {}), "follow": "false"}
                # What fits the description may still be refused: a repository that is not allowed, a limit too high.
                # And what does not fit was put right above: the run's id, the login.
                names = ("positive_data_acceptance", "negative_data_rejection")
                refusals = [schemathesis.checks.CHECKS.get_one(name) for name in names]
                case.call_and_validate(base_url=address, headers=headers, excluded_checks=refusals)

            check()
        assert len(tried) >= 13, tried
        assert api("GET", "/healthz").status == 200
