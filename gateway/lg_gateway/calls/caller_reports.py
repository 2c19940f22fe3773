"""Where a server's reports go while a call runs: to the caller that wants them, cut and masked as results are."""

from __future__ import annotations

from lg_gateway.calls.call import CallContext
from lg_gateway.calls.results import masks
from lg_gateway.upstreams.client_side.log_messages import LogMessages
from lg_gateway.upstreams.progress import Progress, Thinned
from lg_policy.secrets.masking import Masker


def progress_to_caller(context: CallContext, setting: str, masker: Masker) -> Progress | None:
    """Return where progress goes. `setting` is `gateway.mask_results`."""
    if context.call.progress is None:
        return None
    return Thinned(context.call.progress, masker.mask if masks(setting, context.entry) else None)


def logs_to_caller(context: CallContext, setting: str, masker: Masker) -> LogMessages | None:
    """Return where log messages go."""
    call, entry = context.call, context.entry
    if call.logs is None:
        return None
    return LogMessages(entry.server, call.log_level, call.logs, masker.mask_json if masks(setting, entry) else None)
