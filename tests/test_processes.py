"""Programs that tests share: one that stalls or ends spoils one question, says what it was doing, and is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.postgres import own_server, postgres_answers, schema
from tests.processes import STACKS, Output, QuestionProcess, Shared, Stalled, answers, descendants, end

ROOT = Path(__file__).resolve().parents[1]
SHARED_PROGRAM = """
import asyncio, json, os, subprocess, sys, threading
from tests import stacks
from tests.processes import ready

async def answer(question):
    if question["text"] == "stall":
        await stuck_in_a_task()
    if question["text"] == "die":
        print("about to die", file=sys.stderr, flush=True)
        os._exit(7)
    if question["text"] == "fork":
        if os.fork() == 0:
            stuck_in_a_fork()
        await stuck_in_a_task()
    if question["text"] == "start":
        subprocess.run(["sleep", "600"])
    return question["text"].upper()

async def stuck_in_a_task():
    await asyncio.get_running_loop().run_in_executor(None, stuck_in_a_thread)

def stuck_in_a_thread():
    threading.Event().wait()

def stuck_in_a_fork():
    threading.Event().wait()

async def main():
    print(ready(), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        question = json.loads(line)
        if question["text"] == "twice":
            print(json.dumps({"number": question["number"] - 1, "text": "of an earlier question"}))
        print(json.dumps({"number": question["number"], "text": await answer(question)}), flush=True)

stacks.arm()
asyncio.run(main())
"""


@contextmanager
def program() -> Iterator[QuestionProcess]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = QuestionProcess([sys.executable, "-P", "-c", SHARED_PROGRAM], env=environment)
    with closing(process):
        yield process


def test_a_question_gets_its_own_answer_and_not_that_of_an_earlier_one() -> None:
    with program() as asked:
        assert [asked.ask({"text": text}) for text in ("twice", "b")] == [{"text": "TWICE"}, {"text": "B"}]


def test_a_question_and_an_answer_may_be_longer_than_a_pipe_holds() -> None:
    with program() as asked:
        assert asked.ask({"text": "long " * 100_000}) == {"text": "LONG " * 100_000}


def test_a_question_without_an_answer_shows_the_stacks_of_threads_and_tasks_and_the_next_has_a_fresh_process() -> None:
    with program() as asked:
        assert asked.ask({"text": "a"}) == {"text": "A"}
        first = asked.pid
        with pytest.raises(Stalled) as stalled:
            asked.ask({"text": "stall"}, within=3)
        assert asked.ask({"text": "b"}) == {"text": "B"}
        assert asked.pid != first
    assert "stuck_in_a_task" in str(stalled.value)
    assert "stuck_in_a_thread" in str(stalled.value)
    assert "no answer within 3 s" in str(stalled.value)
    assert '"text": "stall"' in str(stalled.value)


def test_a_fork_of_it_shows_its_stacks_too_and_a_program_that_it_started_ends_with_it() -> None:
    before = set(descendants(os.getpid()))
    with program() as asked:
        assert asked.ask({"text": "a"}) == {"text": "A"}
        with pytest.raises(Stalled) as stalled:
            asked.ask({"text": "fork"}, within=5)
        assert "stuck_in_a_fork" in str(stalled.value)
        with pytest.raises(Stalled):
            asked.ask({"text": "start"}, within=1)
        assert set(descendants(os.getpid())) <= before


def test_a_process_that_ends_says_how_and_what_it_wrote_and_is_replaced() -> None:
    with program() as asked:
        with pytest.raises(Stalled, match=r"ended with status 7 before it answered[^$]*about to die"):
            asked.ask({"text": "die"})
        assert asked.ask({"text": "b"}) == {"text": "B"}


def test_a_test_that_is_stopped_in_the_middle_of_a_question_leaves_no_answer_for_the_next() -> None:
    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError("the test is over")

    with program() as asked:
        assert asked.ask({"text": "a"}) == {"text": "A"}
        before = signal.signal(signal.SIGALRM, stop)
        timer = signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            with pytest.raises(Stalled, match="the test is over"):
                asked.ask({"text": "stall"})
        finally:
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, before)
        assert asked.ask({"text": "b"}) == {"text": "B"}


def started(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env={**os.environ, **STACKS}
    )


def test_a_program_that_writes_much_is_never_made_to_wait() -> None:
    much = "import sys; [print('x' * 1000, file=sys.stderr) for _ in range(1000)]; print('last', file=sys.stderr)"
    with started(much) as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        assert output.first(lambda line: line if line == "last\n" else None) == "last\n"
        end(process, output)
    with pytest.raises(Stalled, match="the program ended before"):
        output.first(lambda line: line if "never" in line else None)


def test_a_program_that_does_not_end_is_killed_and_shows_where_it_was() -> None:
    deaf = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', file=sys.stderr, flush=True)\n"
        "def deaf_to_everything():\n  while True: signal.pause()\ndeaf_to_everything()"
    )
    with started(deaf) as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        output.first(lambda line: line.startswith("up"))
        with pytest.raises(Stalled, match=r"did not end[^$]*deaf_to_everything"):
            end(process, output, within=0.2)
        assert process.returncode is not None


def test_what_no_longer_works_is_made_anew_and_what_works_is_shared() -> None:
    open_ones: list[int] = []
    broken: set[int] = set()
    numbers = iter(range(9))

    @contextmanager
    def made() -> Iterator[int]:
        number = next(numbers)
        open_ones.append(number)
        yield number
        open_ones.remove(number)

    with closing(Shared(made, lambda number: number not in broken)) as shared:
        assert [shared.get(), shared.get()] == [0, 0]
        broken.add(0)
        assert [shared.get(), shared.get(), open_ones] == [1, 1, [1]]
    assert not open_ones


def test_a_transaction_that_a_test_left_open_does_not_hold_up_the_end_of_its_schema() -> None:
    import psycopg

    with own_server() as server:
        with schema(server.url) as url:
            left = psycopg.connect(url)
            left.execute("CREATE TABLE held (number integer)")
            left.commit()
            left.execute("SELECT * FROM held")
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        assert postgres_answers(server.url)
        os.kill(server.pid, signal.SIGKILL)
        assert server.is_gone()
        assert not postgres_answers(server.url)


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_a_server_that_is_gone_is_told_from_one_that_answers_whatever_it_says() -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/mcp"
        thread = Thread(target=server.handle_request)
        thread.start()
        assert answers(url)
        thread.join()
    assert not answers(url)
