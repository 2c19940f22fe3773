"""Calls that go on after their answer: tasks of servers, watched to their end and bound to their callers."""
