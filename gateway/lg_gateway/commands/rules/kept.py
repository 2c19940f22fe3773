"""`lg-gateway rules`: see the rules that decide, add one, take one back, and have some proposed from your answers.

Only your own settings file is changed. A rule that permits more is written only after a person at a terminal has seen
it: programs that merely run commands permit themselves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import ValidationError

from lg_gateway.approvals.question import ALWAYS
from lg_gateway.approvals.records import Approval
from lg_gateway.commands.approvals.actions import Stores, opened_stores
from lg_gateway.commands.approvals.prompt import agreed_rule, own_rules
from lg_gateway.commands.terminal.output import LIST_WIDTH, complain, fail, print_json, say, word
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.kept_rules.choices import exact
from lg_gateway.kept_rules.records import ADDED, REMOVED, RuleChange, comment_of
from lg_gateway.kept_rules.rule_text import rule_text
from lg_gateway.kept_rules.suggestions import Suggestion, suggestions
from lg_gateway.kept_rules.usage import ListedRule, RuleUse, last_change, listed_rules, rule_use
from lg_gateway.serving.setup import user_name
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import common_flags
from lg_policy.config.loading import Loaded, load_settings
from lg_policy.config.settings import RuleSettings, Settings
from lg_policy.config.trust import repository_layer
from lg_policy.errors import ConfigError, LgError, NotFound, UsageError
from lg_policy.printing import one_line, visible
from lg_policy.rules.rule_set import RuleBook

HISTORY = 5_000
"""Questions that proposals are made from, the newest first."""
WHEN_WIDTH = 100


def run(args: argparse.Namespace) -> int:
    """`lg-gateway rules ACTION`."""
    try:
        with opened_stores(args) as stores:
            return _ACTIONS[args.action](stores, args)
    except ConfigError:
        raise
    except (StoreError, LgError) as error:
        fail(error)
        return 1


def listed(stores: Stores, loaded: Loaded) -> list[ListedRule]:
    """Return all rules with what they have decided, in all the gateways that are looked at."""
    changed, used = last_change(loaded.files), dict[str, RuleUse]()
    for access in stores.stores.values():
        for name, use in access.read(lambda tx: rule_use(tx, changed)).items():
            known = used.get(name, RuleUse())
            used[name] = RuleUse(hits=known.hits + use.hits, last=max(known.last, use.last))
    return listed_rules(loaded, own_rules().path.absolute(), used)


def _loaded(args: argparse.Namespace) -> Loaded:
    flags = common_flags(args)
    root = flags.root.absolute() if flags.root is not None else None
    layer = repository_layer(root, os.environ) if root is not None and flags.effective_config is None else None
    return load_settings(
        profile=flags.profile,
        config=flags.config,
        effective=flags.effective_config,
        extra=(layer,) if layer is not None else (),
    )


def _list(stores: Stores, args: argparse.Namespace) -> int:
    rules = listed(stores, _loaded(args))
    for rule in rules:
        if args.json:
            print_json(_as_json(rule), sort_keys=True)
        else:
            say(_line(rule))
    if not rules and not args.json:
        complain(f"there are no rules: the defaults decide; yours would be in {word(own_rules().path)}")
    return 0


def _line(rule: ListedRule) -> str:
    settings = rule.settings
    about = [*settings.tools, *settings.resources, *settings.prompts]
    named = ", ".join(word(name, LIST_WIDTH) for name in about[:3]) + (
        f" and {len(about) - 3} more" if about[3:] else ""
    )
    whose = [] if settings.identities == ("*",) else [f"for {', '.join(word(name) for name in settings.identities)}"]
    when = settings.when
    only = [] if when is True else [f"when {one_line(json.dumps(when, ensure_ascii=False), WHEN_WIDTH)}"]
    asks = [f"approver {settings.approver}"] if settings.effect == "approve" and settings.approver != "user" else []
    use = rule.use
    hits = f"{use.hits} hits, last {_local(use.last)}" if use.hits else "never matched"
    title = [f"{rule.number:>3}", f"{settings.effect:<7}", named, *only, *whose, *asks, hits]
    return "  ".join([*title, *([settings.name] if settings.name else []), word(rule.place)])


def _local(time: str) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return time


def _as_json(rule: ListedRule) -> dict[str, Any]:
    return rule.settings.model_dump(mode="json", exclude_defaults=True) | {
        "number": rule.number,
        "place": rule.place,
        "rule": rule.name,
        "hits": rule.use.hits,
        "last_used": rule.use.last or None,
        "yours": rule.index is not None,
    }


def _add(stores: Stores, args: argparse.Namespace) -> int:
    if sum(given is not None for given in (args.source, args.tool, args.resource, args.prompt)) != 1:
        raise UsageError(
            "name one thing: a tool, a resource, a prompt, or the question whose answer you keep",
            hint="rules add TOOL, --resource URI, --prompt NAME, or --from ID",
        )
    if args.source is not None:
        pending = stores.find(args.source)
        rule, approval = _of_question(pending.approval, args.kind), pending.approval
        return _write(Stores(stores={pending.subject: pending.access}, looked_at=stores.looked_at), rule, approval)
    return _write(stores, _of_flags(args), None)


def _of_question(approval: Approval, kind: str | None) -> dict[str, Any]:
    """Return the rule that a question offered. Raises `UsageError` where none was chosen."""
    chosen = kind or (approval.kept if approval.kept in ALWAYS else "")
    rule = approval.rule(chosen)
    if rule is None or approval.approver != "user":
        offered = ", ".join(approval.words()) if approval.approver == "user" else ""
        raise UsageError(
            f"question {approval.id} offers no rule of the kind {chosen or 'none'}",
            hint=f"choose with --kind: {offered}"
            if offered
            else "a rule of the settings, or an operator, decides there",
        )
    return rule


def _of_flags(args: argparse.Namespace) -> dict[str, Any]:
    about = {"tools": args.tool, "resources": args.resource, "prompts": args.prompt}
    rule: dict[str, Any] = {kind: [name] for kind, name in about.items() if name is not None}
    if args.identity:
        rule["identities"] = [args.identity]
    if args.args is not None and args.when is not None:
        raise UsageError("--args and --when exclude each other")
    if args.args is not None and args.tool is None:
        raise UsageError("--args is about a tool", hint="use --when with a JSON Schema")
    if args.args is not None:
        rule["when"] = exact(_object(args.args, "--args"))
    if args.when is not None:
        rule["when"] = _object(args.when, "--when")
    rule["effect"] = args.effect
    return rule | ({"reason": args.reason} if args.reason else {})


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{option} must be a JSON object")
    return value


def _write(stores: Stores, rule: Mapping[str, Any], approval: Approval | None) -> int:
    """Check a rule, have a person see it where it permits, write it, and record that."""
    comment = comment_of(approval)
    try:
        rules = (RuleSettings.model_validate(dict(rule)),)
        RuleBook(Settings().model_copy(update={"gateway": Settings().gateway.model_copy(update={"rules": rules})}))
        text = rule_text(rule, comment)
    except (ValidationError, ValueError) as error:
        raise ConfigError(f"that is no rule: {error}") from error
    file = own_rules()
    if rule["effect"] == "deny":
        say(visible(text, keep="\n"))
    else:
        with Terminal() as terminal:
            if not agreed_rule(terminal, rule, comment):
                complain("nothing was changed")
                return 1
    file.add(rule, comment)
    _record(stores, ADDED, rule, approval)
    say(f"written to {word(file.path)}; a running gateway reads it before it asks the next question")
    return 0


def _record(stores: Stores, outcome: str, rule: Mapping[str, Any], approval: Approval | None = None) -> None:
    path, by = own_rules().path, f"user {user_name()} at a terminal"
    change = RuleChange(outcome=outcome, rule=rule, path=path, by=by, approval=approval)
    for access in stores.stores.values():
        access.write(partial(change.record, access.ledger))


def _remove(stores: Stores, args: argparse.Namespace) -> int:
    rules = listed(stores, _loaded(args))
    found = [rule for rule in rules if args.rule == str(rule.number)]
    found = found or [rule for rule in rules if args.rule == rule.settings.name]
    if not found or not args.rule:
        raise NotFound(f"there is no rule {word(args.rule or '')}", hint="`lg-gateway rules list` shows their numbers")
    if len(found) > 1:
        raise UsageError(f"{len(found)} rules have the name {word(args.rule)}", hint="take the number of one")
    rule, file = found[0], own_rules()
    if rule.index is None:
        raise ConfigError(
            f"rule {rule.number} is written in {word(rule.place)}, not in your settings file",
            hint="whoever keeps that file changes it there",
        )
    if rule.settings.effect != "allow":
        with Terminal() as terminal:
            terminal.show(f"\n{_line(rule)}\n")
            if terminal.line("Without it more is allowed. Take it out? [y]es: ").lower() not in ("y", "yes"):
                complain("nothing was changed")
                return 1
    written = file.remove(rule.index, rule.settings)
    _record(stores, REMOVED, written)
    say(f"taken out of {word(file.path)}: {_line(rule).strip()}")
    return 0


def proposed(stores: Stores, rules: Sequence[RuleSettings]) -> list[Suggestion]:
    """Return the rules that would have spared questions, over all the gateways that are looked at."""
    history = [approval for access in stores.stores.values() for approval in access.recent(HISTORY)]
    return suggestions(sorted(history, key=lambda approval: -approval.created), rules)


def _suggest(stores: Stores, args: argparse.Namespace) -> int:
    found = proposed(stores, _loaded(args).settings.gateway.rules)
    if args.add is not None:
        if not 1 <= args.add <= len(found):
            raise UsageError(f"there is no proposal {args.add}", hint="`lg-gateway rules suggest` numbers them")
        chosen = found[args.add - 1]
        return _write(stores, chosen.rule, chosen.approval)
    for number, suggestion in enumerate(found, 1):
        if args.json:
            print_json({"number": number, "asked": _asked(suggestion), "rule": suggestion.rule}, sort_keys=True)
            continue
        reads = "; its server says that it only reads" if suggestion.reads else ""
        say(f"{number}. {word(suggestion.approval.tool)}: {_asked(suggestion)}{reads}")
        say("".join(f"     {visible(line)}\n" for line in rule_text(suggestion.rule).splitlines()))
    if not found and not args.json:
        complain("nothing to propose: no question got the same yes three times, or a rule spares it already")
    elif not args.json:
        complain("add one with `lg-gateway rules suggest --add N`")
    return 0


def _asked(suggestion: Suggestion) -> str:
    times = suggestion.yes + suggestion.unanswered
    left = f", {suggestion.unanswered} times unanswered" if suggestion.unanswered else ""
    return f"asked {times} times, always yes{left}"


_ACTIONS = {"list": _list, "add": _add, "remove": _remove, "suggest": _suggest}
