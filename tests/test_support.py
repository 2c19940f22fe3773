"""The suite gives the same answers however it was started."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.support import signals_heard

SAYS_WHAT_IT_DOES = "import signal; print(signal.getsignal(signal.SIGHUP).name)"


def hang_up_in_a_child() -> str:
    argv = [sys.executable, "-c", SAYS_WHAT_IT_DOES]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_programs_hear_a_signal_that_the_tests_themselves_were_told_to_ignore() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert hang_up_in_a_child() == "SIG_IGN"
        with signals_heard("SIGHUP"):
            assert hang_up_in_a_child() == "SIG_DFL"
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
