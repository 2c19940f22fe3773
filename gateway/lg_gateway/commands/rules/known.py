"""What `policy explain` judges a call by: definitions that are accepted, without starting their server where possible.

The definitions of a server that is not ours are pinned when it is first used, so its tools are judged from the store.
Our own servers start: they take moments, and only they know whether the sandbox holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_gateway.catalog.pin_table import Pin
from lg_gateway.serving.setup import GatewaySetup
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import StoreError
from lg_gateway.views.explanation import Known

if TYPE_CHECKING:
    from lg_gateway.processes.server_specs import ServerSpec

_ADDRESSES = ("__", "+")
"""What stands between a server and its tool or prompt, and between a server and a resource."""


def owner(setup: GatewaySetup, subject: str) -> ServerSpec | None:
    """Return the server that a tool, a prompt or a resource names, `None` where its name does not tell."""
    named = [spec for spec in setup.specs if any(subject.startswith(f"{spec.name}{part}") for part in _ADDRESSES)]
    return max(named, key=lambda spec: len(spec.name), default=None)


def from_pins(setup: GatewaySetup, spec: ServerSpec, subject: str) -> Known | None:
    """Return what is known of a server's tools from accepted definitions; `None` where the one asked for is not."""
    if spec.builtin is not None or setup.settings.gateway.pins == "off":
        return None
    tools = _accepted(setup, spec)
    if not tools:
        return None
    import mcp_types as t
    from pydantic import ValidationError

    from lg_gateway.calls.decision_step import DecisionStep, Policy
    from lg_gateway.catalog.catalog import Catalog
    from lg_policy.rules.rule_set import RuleBook

    catalog = Catalog(setup.settings.gateway.name_max, setup.specs)
    try:
        catalog.update(spec, [t.Tool.model_validate(pin.accepted) for pin in tools])
    except ValidationError:
        return None
    if catalog.find(subject) is None:
        return None
    policy = Policy(settings=setup.settings, rules=RuleBook(setup.settings, setup.loaded.rule_places))
    return Known(catalog=catalog, policy=policy, decisions=DecisionStep(lambda: policy, catalog))


def _accepted(setup: GatewaySetup, spec: ServerSpec) -> list[Pin]:
    """Return the accepted pins of a server's tools; none where the store is not there or was changed outside."""
    if not setup.store_place.exists():
        return []
    try:
        access = StoreAccess(setup)
    except StoreError:
        return []
    try:
        if access.read(lambda tx: access.pins.changed_outside(tx, spec.name)):
            return []
        pins = access.read(lambda tx: access.pins.all(tx, spec.name))
    except StoreError:
        return []
    finally:
        access.close()
    return [pin for pin in pins if pin.accepted is not None and "inputSchema" in pin.accepted]
