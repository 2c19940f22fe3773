"""Writes metrics as Prometheus reads them: the text format 0.0.4, or OpenMetrics 1.0 for who asks for it.

Whoever keeps its own counts needs only this. `prometheus-client` takes 70 ms of CPU time to import, in every process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram", "info"]
Labels = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One number of a family. `suffix` is what its name has beyond the family's."""

    suffix: str = ""
    labels: Labels = field(default_factory=dict)
    value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """A metric with all its samples. `name` has no `_total` and no `_info`; `unit` is the end of the name."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample] = ()
    unit: str = ""

    def labelled(self, **labels: str) -> Family:
        """Return the family with more labels on each sample."""
        samples = [
            Sample(suffix=each.suffix, labels={**each.labels, **labels}, value=each.value) for each in self.samples
        ]
        return Family(name=self.name, kind=self.kind, help=self.help, samples=samples, unit=self.unit)

    def as_json(self) -> dict[str, Any]:
        """Return the family for another process."""
        samples = [[each.suffix, dict(each.labels), each.value] for each in self.samples]
        return {"name": self.name, "kind": self.kind, "help": self.help, "unit": self.unit, "samples": samples}

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Self:
        """Return the family that another process sent."""
        samples = [Sample(suffix=suffix, labels=labels, value=value) for suffix, labels, value in text["samples"]]
        return cls(name=text["name"], kind=text["kind"], help=text["help"], unit=text["unit"], samples=samples)


def counter(name: str, help_: str, values: Iterable[tuple[Labels, float]]) -> Family:
    """Return a family of numbers that only grow; `name` without `_total`."""
    samples = [Sample(suffix="_total", labels=labels, value=value) for labels, value in values]
    return Family(name=name, kind="counter", help=help_, samples=samples)


def gauge(name: str, help_: str, values: Iterable[tuple[Labels, float]], unit: str = "") -> Family:
    """Return a family of numbers that go up and down."""
    return Family(
        name=name,
        kind="gauge",
        help=help_,
        unit=unit,
        samples=[Sample(labels=labels, value=value) for labels, value in values],
    )


def info(name: str, help_: str, labels: Labels) -> Family:
    """Return a family that only has labels; `name` without `_info`."""
    return Family(name=name, kind="info", help=help_, samples=[Sample(suffix="_info", labels=labels, value=1)])


def histogram(
    name: str, help_: str, bounds: Sequence[float], values: Iterable[tuple[Labels, Sequence[int], float]]
) -> Family:
    """Return a family of durations. Each value has its labels, its counts for each bucket and the last, and its sum."""
    samples = []
    for labels, counts, total in values:
        seen = 0
        for bound, count in zip((*bounds, math.inf), counts, strict=True):
            seen += count
            samples.append(Sample(suffix="_bucket", labels={**labels, "le": _number(bound)}, value=seen))
        samples.append(Sample(suffix="_count", labels=labels, value=seen))
        samples.append(Sample(suffix="_sum", labels=labels, value=total))
    return Family(name=name, kind="histogram", help=help_, unit="seconds", samples=samples)


def merged(parts: Iterable[Iterable[Family]]) -> list[Family]:
    """Put the families of several processes together: those of one name become one."""
    found: dict[str, Family] = {}
    for family in (family for part in parts for family in part):
        known = found.get(family.name)
        samples = [*(known.samples if known is not None else ()), *family.samples]
        found[family.name] = Family(
            name=family.name, kind=family.kind, help=family.help, unit=family.unit, samples=samples
        )
    return list(found.values())


def metrics_text(families: Iterable[Family], accept: str = "") -> tuple[str, bytes]:
    """Return the content type and the text, in the format that `accept` asks for."""
    modern = "application/openmetrics-text" in accept
    lines = []
    for family in families:
        name, kind = family.name, family.kind
        if not modern:  # there the type belongs to the name that the samples have
            name += {"counter": "_total", "info": "_info"}.get(kind, "")
            kind = "gauge" if kind == "info" else kind
        lines.append(f"# HELP {name} {_help(family.help)}")
        lines.append(f"# TYPE {name} {kind}")
        if modern and family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        lines += [_line(family.name, sample) for sample in family.samples]
    if modern:
        lines.append("# EOF")
    return (OPENMETRICS if modern else PLAIN), ("\n".join(lines) + "\n").encode()


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{label}="{_quoted(value)}"' for label, value in sample.labels.items())
    return f"{name}{sample.suffix}{'{' + labels + '}' if labels else ''} {_number(sample.value)}"


def _quoted(value: str) -> str:
    return _printable(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(text: str) -> str:
    return _printable(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', "'")


def _printable(text: str) -> str:
    """Return a text that has no half characters: those cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))
