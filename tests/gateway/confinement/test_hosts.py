"""Which hosts match the entries of `network`."""

from __future__ import annotations

import ipaddress

import pytest

from lg_gateway.confinement.hosts import is_public, plain_name, read_pattern, read_patterns


@pytest.mark.parametrize(
    ("entries", "host", "port", "allowed"),
    [
        (["api.example.com"], "api.example.com", 443, True),
        (["api.example.com"], "api.example.com", 80, True),
        (["api.example.com"], "api.example.com", 22, False),
        (["api.example.com:22"], "api.example.com", 22, True),
        (["api.example.com:22"], "api.example.com", 443, False),
        (["api.example.com"], "xapi.example.com", 443, False),
        (["api.example.com"], "api.example.com.evil.net", 443, False),
        (["*.example.com"], "a.b.example.com", 443, True),
        (["*.example.com"], "example.com", 443, False),
        (["*.example.com"], "evilexample.com", 443, False),
        (["*"], "anything.net", 443, True),
        (["*"], "8.8.8.8", 443, False),
        (["8.8.8.8"], "8.8.8.8", 443, True),
        (["10.0.0.0/8:5432"], "10.1.2.3", 5432, True),
        (["[::1]:8080"], "::1", 8080, True),
        (["EXAMPLE.com"], "example.com", 443, True),
        (["bücher.example"], "xn--bcher-kva.example", 443, True),
    ],
)
def test_a_host_is_matched_by_its_whole_name_and_port(entries: list[str], host: str, port: int, allowed: bool) -> None:
    assert read_patterns(entries).allows_name(host, port) is allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_unless_it_is_named(address: str) -> None:
    found = ipaddress.ip_address(address)
    assert not is_public(found)
    assert not read_patterns(["*", "name.example"]).allows_address(found, 443)


def test_a_named_address_is_allowed_also_in_another_form() -> None:
    rules = read_patterns(["10.0.0.0/8", "localhost:8000"])
    assert rules.allows_address(ipaddress.ip_address("::ffff:10.0.0.1"), 443)
    assert rules.allows_address(ipaddress.ip_address("127.0.0.1"), 8000)
    assert not rules.allows_address(ipaddress.ip_address("127.0.0.1"), 443)


@pytest.mark.parametrize(
    "entry", ["", "https://example.com", "a/b", "a:0", "a:99999", "a b", "[::1", "*x.example", "a..b"]
)
def test_an_entry_that_is_no_host_is_refused_with_the_entry_in_the_message(entry: str) -> None:
    with pytest.raises(ValueError, match=r"host|port"):
        read_pattern(entry)


@pytest.mark.parametrize("host", ["a b", "a\0b", "a%00", "é.example", "x" * 300, "-a", "a_b-", "user@host", ".", ""])
def test_text_that_is_no_host_name_is_never_compared(host: str) -> None:
    assert plain_name(host) is None
