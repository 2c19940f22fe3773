"""What a file holds now: the index is not believed before the file's hash is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lg_code.index.database import Database
from lg_code.index.rows import FileRow, file_by_path, symbols_of
from lg_code.index.sources import Source, source_of
from lg_code.parsing.facts import Facts, Symbol
from lg_code.parsing.pool import ParserDied, Parsers
from lg_policy.config.settings import CodeSettings
from lg_policy.errors import InvalidArguments, LgError
from lg_policy.jobs import Job
from lg_policy.tree.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class CurrentFile:
    """A file as it is now."""

    path: str
    text: bytes
    source: Source
    language: str
    reader: str
    lines: int
    problem: str
    symbols: Sequence[Symbol]

    def line_text(self, line: int, limit: int = 400) -> str:
        """Return one line, cut to `limit` bytes."""
        start = self.line_start(line)
        end = self.text.find(b"\n", start, start + limit)
        end = min(len(self.text), start + limit) if end < 0 else end
        return self.text[start:end].rstrip(b"\r").decode("utf-8", "replace")

    def line_start(self, line: int) -> int:
        """Return the byte where a line begins."""
        starts = self.__dict__.get("_starts")
        if starts is None:
            starts = [0]
            place = self.text.find(b"\n")
            while place >= 0:
                starts.append(place + 1)
                place = self.text.find(b"\n", place + 1)
            self.__dict__["_starts"] = starts
        return int(starts[min(line, len(starts)) - 1])

    def lines_text(self, first: int, last: int) -> str:
        """Return whole lines, both included."""
        end = self.line_start(last + 1) if last < self.lines else len(self.text)
        return self.text[self.line_start(first) : end].decode("utf-8", "replace")


class CurrentFiles:
    """Opens files as every tool does, so the rules hold here too."""

    def __init__(self, workspace: Workspace, database: Database, parsers: Parsers, settings: CodeSettings) -> None:
        self._workspace = workspace
        self._database = database
        self._parsers = parsers
        self._settings = settings

    def get(self, path: str, job: Job) -> CurrentFile | None:
        """Return a file of an answer as it is now; `None` if it is gone, may not be read, or is no text."""
        try:
            return self.read(path, job)
        except LgError:
            job.check_time()
            return None

    def read(self, path: str, job: Job) -> CurrentFile:
        """Return a file that a call names. Raises as `Workspace.open_file`, and `InvalidArguments` for no text."""
        opened, place = self._workspace.open_file(path)
        with opened:
            try:
                source = source_of(place.prefix + opened.rel, opened.fd, self._settings, job)
            except OSError as error:
                raise InvalidArguments(f"{path!r} cannot be read: {error.strerror or error}") from error
        if source.request is None:
            raise InvalidArguments(f"{path!r} holds no code that is read here: {source.problem}")
        with self._database.read() as db:
            known = file_by_path(db, source.path)
            if known is not None and known.digest == source.digest:
                return _known(source, known, symbols_of(db, known.id))
            failed = db.execute("SELECT problem FROM failed WHERE digest = ?", (source.digest,)).fetchone()
        return self._parsed(source, failed[0] if failed else "")

    def _parsed(self, source: Source, failed: str) -> CurrentFile:
        request = source.request
        if request is None:
            raise InvalidArguments(f"{source.path!r} holds no code: {source.problem}")
        if failed:
            request = replace(request, reader="lines", problem=failed)
        try:
            facts, _ = self._parsers.facts(request)
        except ParserDied as error:
            facts = Facts(language=request.language, reader="none", lines=0, problem=str(error)[:300])
        return CurrentFile(
            path=source.path,
            text=source.text,
            source=source,
            language=facts.language,
            reader=facts.reader,
            lines=facts.lines,
            problem=facts.problem,
            symbols=facts.symbols,
        )


def _known(source: Source, row: FileRow, symbols: Sequence[Symbol]) -> CurrentFile:
    return CurrentFile(
        path=source.path,
        text=source.text,
        source=source,
        language=row.language,
        reader=row.reader,
        lines=row.lines,
        problem=row.problem,
        symbols=symbols,
    )
