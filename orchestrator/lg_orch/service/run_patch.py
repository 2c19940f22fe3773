"""Makes patches of what a run changed, from its events and the results beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lg_orch.contracts.envelopes import ToolEnvelope

if TYPE_CHECKING:
    from lg_orch.runs.timeline import Patch

Read = Callable[[str], bytes | None]


def whole_diff(patches: Iterable[Patch], read: Read) -> str:
    """Return the diffs of change sets, one after the other; `read` returns a result by its digest."""
    return "".join(diff_text(patch, read) for patch in patches)


def diff_text(patch: Patch, read: Read) -> str:
    """Return the diff of one change set; a remark where its text is not kept."""
    data = read(str(patch.result.artifacts.digest))
    try:
        structured = ToolEnvelope.model_validate_json(data).artifacts.structured if data is not None else None
    except ValidationError:
        structured = None
    if structured is None or "diff" not in structured:
        names = "".join(f"#   {file['op']} {file['path']}\n" for file in patch.files)
        return f"# change set {patch.change_id}, whose diff is not kept:\n{names}"
    return str(structured["diff"])
