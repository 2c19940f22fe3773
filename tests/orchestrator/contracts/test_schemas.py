from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from lg_orch.contracts.plans import Plan, PlanStep, ToolUse
from lg_orch.contracts.schemas import MODELS, schema, text

SCHEMAS = Path(__file__).parents[3] / "schemas"


@pytest.mark.parametrize("name", MODELS)
def test_the_published_schema_is_the_one_of_the_model(name: str) -> None:
    assert (SCHEMAS / f"{name}.schema.json").read_text("utf-8") == text(name), (
        "python -m lg_orch.contracts.schemas schemas"
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_published_schema_is_valid_and_takes_no_unknown_keys(name: str) -> None:
    published = schema(name)
    jsonschema.Draft202012Validator.check_schema(published)
    assert published["additionalProperties"] is False


def test_a_plan_of_the_model_validates_and_a_broken_one_does_not() -> None:
    validator = jsonschema.Draft202012Validator(schema("planner_output"))
    plan = Plan(steps=(PlanStep(id="s", description="d", tools=(ToolUse(tool="fs__read_file"),)),))
    assert validator.is_valid(plan.model_dump(mode="json"))
    assert not validator.is_valid({"steps": [{"id": "s"}]})
