"""Two small projects with one bug each, made of code like that of real ones, and the edit that repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PYPROJECT = """[project]
name = "sample"
version = "1"
requires-python = ">=3.11"
[tool.pytest.ini_options]
pythonpath = ["."]
"""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A project, what is asked, and what a competent model does about it."""

    name: str
    request: str
    files: dict[str, str]
    source: str
    """File with the bug."""
    test: str
    """File with the failing test."""
    old: str
    new: str
    """The line to be replaced and its replacement, without newline and without slashes."""

    def write(self, root: Path) -> None:
        """Make the project."""
        for name, text in {**self.files, "pyproject.toml": PYPROJECT}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def solved(self, root: Path) -> bool:
        """Whether the file now is what it should be."""
        return (root / self.source).read_text() == self.files[self.source].replace(self.old, self.new)


_LEDGER = '''"""A ledger of movements between accounts, in cents."""

from __future__ import annotations

from dataclasses import dataclass, field


class LedgerError(Exception):
    """A movement that cannot be made."""


@dataclass
class Account:
    """One account and the limit below which it may not fall."""

    name: str
    balance: int = 0
    limit: int = 0

    def can_pay(self, amount: int) -> bool:
        """Whether the amount can be taken from it."""
        return self.balance - amount > self.limit


@dataclass
class Ledger:
    """Accounts by name, and every movement in order."""

    accounts: dict[str, Account] = field(default_factory=dict)
    movements: list[tuple[str, str, int]] = field(default_factory=list)

    def open(self, name: str, balance: int = 0, limit: int = 0) -> Account:
        """Open an account; a name is used once."""
        if name in self.accounts:
            raise LedgerError(f"account {name} is open already")
        if balance < limit:
            raise LedgerError(f"account {name} would begin below its limit")
        self.accounts[name] = Account(name, balance, limit)
        return self.accounts[name]

    def move(self, source: str, target: str, amount: int) -> None:
        """Move an amount; nothing is changed when it cannot be paid."""
        if amount <= 0:
            raise LedgerError("an amount is positive")
        payer, payee = self._account(source), self._account(target)
        if not payer.can_pay(amount):
            raise LedgerError(f"account {source} cannot pay {amount}")
        payer.balance -= amount
        payee.balance += amount
        self.movements.append((source, target, amount))

    def total(self) -> int:
        """The sum over all accounts, which no movement changes."""
        return sum(account.balance for account in self.accounts.values())

    def _account(self, name: str) -> Account:
        try:
            return self.accounts[name]
        except KeyError:
            raise LedgerError(f"there is no account {name}") from None
'''
_LEDGER_TEST = """import pytest

from bank.ledger import Ledger, LedgerError


def ledger() -> Ledger:
    made = Ledger()
    made.open("a", 100)
    made.open("b")
    return made


def test_a_movement_keeps_the_total():
    made = ledger()
    made.move("a", "b", 40)
    assert made.total() == 100
    assert made.accounts["b"].balance == 40


def test_all_of_a_balance_can_be_moved():
    made = ledger()
    made.move("a", "b", 100)
    assert made.accounts["a"].balance == 0


def test_more_than_a_balance_cannot_be_moved():
    with pytest.raises(LedgerError):
        ledger().move("a", "b", 101)
"""
_CALC = 'def add(a, b):\n    """The sum."""\n    return a - b\n'
_CALC_TEST = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"

TASKS = (
    Task(
        name="one function",
        request="Fix the failing test.",
        files={"calc.py": _CALC, "tests/test_calc.py": _CALC_TEST},
        source="calc.py",
        test="tests/test_calc.py",
        old="    return a - b",
        new="    return a + b",
    ),
    Task(
        name="a small package",
        request="Fix the failing test.",
        files={"bank/__init__.py": "", "bank/ledger.py": _LEDGER, "tests/test_ledger.py": _LEDGER_TEST},
        source="bank/ledger.py",
        test="tests/test_ledger.py",
        old="        return self.balance - amount > self.limit",
        new="        return self.balance - amount >= self.limit",
    ),
)
