"""Probes of what a server sends to its client: questions, log messages, pings."""

from __future__ import annotations

import warnings

import mcp_types as t

from conformance.probing.prober import NOT_IN_2025, NOT_IN_2026, ROOT, SAMPLED, Probe, Prober, Verdict, grade, whether


async def set_level(prober: Prober) -> Verdict:
    """Does a level reach the server?"""
    if prober.modern:
        return NOT_IN_2026
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await prober.client.set_logging_level("debug")
    level = (await prober.status())["level"]
    return whether(prober.modern_server or level == "debug", f"level at the server: {level}")


async def logging(prober: Prober) -> Verdict:
    """Do the log messages of a call come, in order, before its answer?"""
    prober.seen.logs.clear()
    await prober.said("fx_log")  # they come before the answer
    texts = [str(message.data) for message in prober.seen.logs]
    return whether([text.rpartition(" ")[2] for text in texts] == ["started", "data", "completed"], texts)


async def elicit_form(prober: Prober) -> Verdict:
    """Does a form reach the client, and its answer the server?"""
    said = await prober.said("fx_form")
    return whether("action=accept" in said and "blue" in said, said)


async def elicit_defaults(prober: Prober) -> Verdict:
    """Do defaults in a form survive?"""
    said = await prober.said("test_elicitation_sep1034_defaults")
    return whether("John Doe" in said, said)


async def elicit_url(prober: Prober) -> Verdict:
    """Does a page reach the client, with its address?"""
    prober.seen.pages.clear()
    said = await prober.said("fx_url")
    pages = [page.url for page in prober.seen.pages]
    return whether("action=accept" in said and pages == ["https://example.com/x"], f"{said} {pages}")


async def url_required(prober: Prober) -> Verdict:
    """Is a page opened without which a server refuses the call (-32042)?"""
    prober.seen.pages.clear()
    said = await prober.said("fx_url_required")
    pages = [page.url for page in prober.seen.pages]
    return whether(("opened" in said or "accept" in said) and pages == ["https://example.com/x"], f"{said} {pages}")


async def sampling(prober: Prober) -> Verdict:
    """Does a request for a message reach the client's model?"""
    said = await prober.said("fx_sample")
    return whether(SAMPLED in said, said)


async def roots(prober: Prober) -> Verdict:
    """Does a request for roots reach the client?"""
    said = await prober.said("fx_roots")
    return whether(ROOT in said, said)


async def mixed_round(prober: Prober) -> Verdict:
    """Are questions of different kinds answered in one round?"""
    if not prober.modern_server:
        return NOT_IN_2025
    said = await prober.said("test_input_required_result_multiple_inputs")
    return grade({"all": "All inputs received" in said, "message": SAMPLED in said, "roots": ROOT in said}, said[:200])


async def many_rounds(prober: Prober) -> Verdict:
    """Do rounds go on from the server's state?"""
    if not prober.modern_server:
        return NOT_IN_2025
    said = await prober.said("test_input_required_result_multi_round")
    return whether("all rounds done" in said, said)


async def roots_changed(prober: Prober) -> Verdict:
    """Does the server hear of other roots?"""
    if prober.modern or prober.modern_server:
        return NOT_IN_2026
    before = (await prober.status())["roots_changed"]
    await prober.client.session.send_notification(t.RootsListChangedNotification())
    return whether(await prober.reached("roots_changed", before + 1), "heard at the server")


async def ping_of_server(prober: Prober) -> Verdict:
    """Is a ping of the server answered?"""
    if prober.modern_server:
        return NOT_IN_2026
    said = await prober.said("fx_ping_client")
    return whether("pong" in said, said)


PROBES: tuple[Probe, ...] = (
    set_level,
    logging,
    elicit_form,
    elicit_defaults,
    elicit_url,
    url_required,
    sampling,
    roots,
    mixed_round,
    many_rounds,
    roots_changed,
    ping_of_server,
)
