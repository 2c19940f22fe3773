"""The process that parses hostile text: it has few rights, a limit of memory, and one of time for each file.

`python -m lg_code.parsing.worker MEMORY_MB CPU_S [MODULE:FUNCTION...]`. A request is a line of JSON and then the text;
an answer is a line with its length and then JSON. A text that takes too long or too much memory ends the process: the
parent sees that and starts another one.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, BinaryIO

from lg_code.parsing.facts import Facts, as_wire
from lg_code.parsing.grammar_reader import read_with_grammar
from lg_code.parsing.languages import BY_NAME, Grammar, GrammarMissing
from lg_code.parsing.line_reader import read_lines
from lg_code.parsing.sites import sites_by_grammar, sites_by_lines

Prepare = Callable[[str, bytes, Facts], Any]


class Parser:
    """Answers requests. A grammar is loaded when the first file of its language comes."""

    def __init__(self, prepare: Mapping[str, Prepare]) -> None:
        self._prepare = prepare
        self._grammars: dict[str, Grammar | str] = {}

    def answer(self, request: Mapping[str, Any], text: bytes) -> dict[str, Any]:
        """Return the facts of a text, or where it uses a name."""
        path, language = request["path"], request["language"]
        grammar = self._grammar(language) if request["reader"] == "grammar" else str(request["problem"])
        if "name" in request:
            if isinstance(grammar, str):
                return {"sites": sites_by_lines(path, text, request["name"], language)}
            return {"sites": sites_by_grammar(grammar, text, request["name"], language)}
        if isinstance(grammar, str):
            facts = read_lines(path, text, language, grammar)
        else:
            facts = read_with_grammar(grammar, text, language)
        return {
            "facts": as_wire(facts),
            "prepared": {name: prepare(path, text, facts) for name, prepare in self._prepare.items()},
        }

    def _grammar(self, language: str) -> Grammar | str:
        """Return a grammar, or why there is none."""
        if language not in BY_NAME:
            return ""
        if language not in self._grammars:
            try:
                self._grammars[language] = Grammar(BY_NAME[language])
            except GrammarMissing as missing:
                self._grammars[language] = str(missing)[:300]
        return self._grammars[language]


def limit(memory_mb: int) -> None:
    """Give up what a parser does not need. A file that makes it crash leaves no core dump."""
    if sys.platform == "win32":
        return
    import resource

    def lower(what: int, most: int) -> None:
        hard = resource.getrlimit(what)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (wanted, wanted))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_NOFILE, 64)
    if sys.platform == "linux":  # elsewhere the limit counts what is not used, or nothing
        lower(resource.RLIMIT_AS, memory_mb << 20)


def serve(parser: Parser, requests: BinaryIO, answers: BinaryIO, cpu_s: float) -> None:
    """Say that it is ready, and answer until the input ends. What takes more CPU time than it may ends the process."""
    answers.write(b"0\n")
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        text = requests.read(request["size"])
        _timer(cpu_s)
        made = json.dumps(parser.answer(request, text), separators=(",", ":")).encode()
        _timer(0)
        answers.write(b"%d\n" % len(made) + made)
        answers.flush()


def _timer(seconds: float) -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main(arguments: list[str]) -> int:
    """Run the process."""
    memory_mb, cpu_s, *prepare = arguments
    prepared: dict[str, Prepare] = {}
    for name in prepare:
        module, _, function = name.partition(":")
        prepared[name] = getattr(import_module(module), function)
    limit(int(memory_mb))
    serve(Parser(prepared), sys.stdin.buffer, sys.stdout.buffer, float(cpu_s))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
