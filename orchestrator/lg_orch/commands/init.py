"""`lg-orch init`: writes a first settings file by asking, and checks without a network what it says.

An existing file is never changed. No key is asked for or written: a key comes from the provider's own variable.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.text import in_line, in_words, visible
from lg_orch.llm.model_names import check_address, check_flags, provider_and_model
from lg_orch.llm.providers import LOCAL, PROVIDERS
from lg_policy.errors import ConfigError, LgError, UsageError
from lg_policy.printing import one_line
from lg_policy.state import config_home

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from lg_policy.config.settings import Settings

OWN_SERVER = "server"
"""A server of the user's own that speaks OpenAI's API."""
CHOICES: Mapping[str, str] = {
    **dict.fromkeys(PROVIDERS, ""),
    OWN_SERVER: "your own server that speaks OpenAI's API",
    LOCAL: "no language model: questions about a repository, no changes",
}
YES: Mapping[str, bool] = {"y": True, "yes": True, "n": False, "no": False}
NOTIFY: Mapping[str, list[str]] = {"bell": ["bell"], "desktop": ["desktop"], "both": ["bell", "desktop"], "none": []}
MAX_TRIES = 20
"""Answers to one question that are not understood, before it gives up."""


def command(args: argparse.Namespace) -> int:
    """Ask, show what would be written, write it, and check it. Returns the exit status."""
    check_flags(args.model, args.base_url, {})
    if args.yes and args.base_url and not args.model:
        raise UsageError("--base-url needs the name of the model", hint="for example --model openai:NAME")
    given = args.config or os.environ.get("LG_CONFIG")
    path = Path(given) if given else config_home() / "config.toml"
    if os.path.lexists(path):
        raise ConfigError(
            f"{path} exists, and `init` changes no file that exists",
            hint="edit it, or have another one written with --config FILE; `lg-orch doctor` checks it",
        )
    attended = sys.stdin.isatty() and sys.stderr.isatty()
    if not args.yes and not attended:
        raise ConfigError("init asks questions, and this is no terminal", hint="--yes takes the defaults")
    try:
        text = as_toml(_answers(args, SetupQuestions(defaults=args.yes)))
    except EOFError:
        print("\nlg-orch: nothing was written", file=sys.stderr)
        return 1
    settings = checked(text)
    _write(path, text)
    print(f"wrote {in_line(path)}\n\n{visible(text)}", flush=True)
    _report(settings)
    return 0


class SetupQuestions:
    """Asks one question after the other on standard error; with `defaults` it takes them without asking."""

    def __init__(self, *, defaults: bool) -> None:
        self._defaults = defaults

    def text(self, question: str, default: str, check: Callable[[str], object] = str) -> str:
        """Return the answer, once `check` takes it. Raises `EOFError` at the end of input."""
        if self._defaults:
            check(default)
            return default
        for _ in range(MAX_TRIES):
            print(f"{question} [{default or 'none'}]: ", end="", file=sys.stderr, flush=True)
            try:
                line = sys.stdin.readline()
                if not line:
                    raise EOFError
                answer = line.strip() or default
                check(answer)
            except UnicodeDecodeError:
                print("  the answer is in another encoding than this terminal's", file=sys.stderr)
            except LgError as error:
                print(f"  {in_words(error)}", file=sys.stderr)
            else:
                return answer
        raise EOFError

    def choice(self, question: str, default: str, choices: Mapping[str, object]) -> str:
        """Return one of the choices, or one that begins so."""

        def known(answer: str) -> str:
            fits = [name for name in choices if name.startswith(answer.lower())] if answer else []
            if answer.lower() not in choices and len(fits) != 1:
                raise ConfigError(f"{one_line(answer, 40)!r} is not one of {', '.join(choices)}")
            return answer.lower() if answer.lower() in choices else fits[0]

        return known(self.text(question, default, known))

    def say(self, text: str) -> None:
        """Print a line between two questions."""
        if not self._defaults:
            print(text, file=sys.stderr, flush=True)


def _answers(args: argparse.Namespace, asking: SetupQuestions) -> dict[str, Any]:
    """Return the settings that the answers stand for, those that differ from the defaults or are better seen."""
    values: dict[str, Any] = {}
    model = _model(args, asking)
    if model:
        values["models"] = {"default": model}
    asking.say("\nPrograms such as pytest come from the project's environment: `auto` finds it.")
    values["exec"] = {"environment": _as_place(asking.text("Environment (auto, none or a path)", "auto", _environment))}
    asking.say("\nA change of files can need your yes each time. Reverting with `lg-orch undo` works either way.")
    asks = YES[asking.choice("Ask before files are changed", "yes", YES)]
    values["policy"] = {"require_approval_for_mutations": asks}
    if notify := NOTIFY[asking.choice("Tell you that a question waits (bell, desktop, both, none)", "none", NOTIFY)]:
        values["approval"] = {"notify": notify}
    return values


def _model(args: argparse.Namespace, asking: SetupQuestions) -> dict[str, str]:
    """Return provider, model and address; empty for the built-in analyst."""
    from lg_orch.llm.cost.listed_models import price_table

    provider, name = provider_and_model(args.model, "--model") if args.model else (_likely_provider(), "")
    if args.base_url and not args.model:
        provider = OWN_SERVER
    asking.say("Which language model works for you?\n" + "\n".join(map(_shown, CHOICES)))
    chosen = asking.choice("Provider", provider if provider in CHOICES else LOCAL, CHOICES) if not name else provider
    if chosen == LOCAL:
        return {}
    real = "openai" if chosen == OWN_SERVER else chosen
    example = "" if chosen == OWN_SERVER else str(price_table(real).get("example", ""))

    def fits(answer: str) -> None:
        provider_and_model(f"{real}:{answer}", "the model")
        _plain(answer)

    found = {"provider": real, "model": asking.text("Model", name or example, fits)}
    address = args.base_url or ""
    if chosen == OWN_SERVER:
        address = asking.text("Its address, such as http://127.0.0.1:8080/v1", address, check_address)
    return found | ({"base_url": address} if address else {})


def _likely_provider() -> str:
    """The first provider whose key is set here."""
    return next((name for name, known in PROVIDERS.items() if any(map(os.environ.get, known.key_names))), LOCAL)


def _shown(choice: str) -> str:
    known = PROVIDERS.get(choice)
    words = CHOICES[choice]
    if known is not None:
        named = next(filter(os.environ.get, known.key_names), None)
        words = f"its key is in {named}" if named else f"set its key in {known.key_names[0]}"
        words = words if known.key_needed or named else "on this machine, without a key"
    return f"  {choice:<13} {words}"


def _environment(answer: str) -> None:
    _plain(answer)
    if answer not in ("auto", "none") and not os.path.isdir(_as_place(answer)):
        raise ConfigError(f"{one_line(answer, 80)} is no directory", hint="auto, none, or the path of an environment")


def _as_place(answer: str) -> str:
    """A path is kept whole: in the settings, a relative one would begin at the file's own directory."""
    return answer if answer in ("auto", "none") else os.path.abspath(os.path.expanduser(answer))


def _plain(answer: str) -> None:
    if not answer or not answer.isprintable():
        raise ConfigError("the answer is empty, or has characters that cannot be printed")


def as_toml(values: Mapping[str, Any]) -> str:
    """Return the settings as a file that a person will read and change."""
    lines = ["# Settings of lg-orch and lg-gateway. docs/configuration.md describes all of them.", ""]
    models = values.get("models", {}).get("default")
    if models is None:
        lines += ["# No language model is set: the built-in analyst answers questions.", ""]
    else:
        known = PROVIDERS.get(models["provider"])
        lines += [f"# Its key comes from the variable {known.key_names[0]}, never from a file."] if known else []
        lines += ["[models.default]", *_lines(models), ""]
    for name in ("exec", "policy", "approval"):
        if name in values:
            lines += [f"[{name}]", *_lines(values[name]), ""]
    return "\n".join(lines)


def _lines(table: Mapping[str, Any]) -> list[str]:
    # JSON's texts, lists and truth values are TOML's, for what can be printed.
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]


def checked(text: str) -> Settings:
    """Return the settings as they will be read. Raises `ConfigError`."""
    import tomllib

    from pydantic import ValidationError

    from lg_policy.config.settings import Settings

    try:
        return Settings.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the answers make no settings: {one_line(str(error), 300)}") from error


def _write(path: Path, text: str) -> None:
    """Write a new file, for its owner alone. Raises `ConfigError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError:
            path.unlink(missing_ok=True)  # half a file would keep the next `init` from writing one
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="name another with --config") from error


def _report(settings: Settings) -> None:
    """Say what works with these settings and what is missing, and what to type next."""
    from lg_orch.commands.doctor import models_usable

    usable = True
    for fine, words in models_usable(settings.models):
        usable = usable and fine
        print(f"{'ok' if fine else 'to do'}: {visible(words)}")
    when = "Next, in your project:" if usable else "Then, in your project:"
    print(f"\n{when}\n  lg-orch doctor    tries what works there\n  lg-orch           opens a conversation", flush=True)
