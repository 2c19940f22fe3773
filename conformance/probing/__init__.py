"""Probes of what gets through: a client that uses every part of the protocol against the fixture, near or far.

Each probe returns a verdict (`yes`, `partial`, `no`, or `n/a` where the client's revision has no such thing) and what
was seen.
"""
