"""Addresses: one reversible function of server and URI, under which servers never meet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lg_gateway.catalog.addresses import Addresses, qualified, scheme_of

NAMES = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,8}(?<!_)", fullmatch=True)
SERVERS = st.lists(NAMES, min_size=1, max_size=5, unique=True)
URIS = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"(ui|skill|file|test|git\+https|[a-z.]{1,4}\+ui)://[ -~]{0,20}", fullmatch=True),
)


@given(SERVERS, URIS, st.data())
def test_an_address_leads_back_to_its_server_and_uri(servers: list[str], uri: str, data: st.DataObject) -> None:
    bare = data.draw(st.lists(st.sampled_from(servers), unique=True))
    addresses = Addresses(servers, bare)
    # A URI that reads as the address of a server is the hostile case.
    nested = data.draw(st.sampled_from([uri, qualified(data.draw(st.sampled_from(servers)), uri)]))
    for server in servers:
        assert addresses.own(addresses.public(server, nested)) == (server, nested)
        assert addresses.own(qualified(server, nested)) == (server, nested)


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True), URIS, URIS)
def test_addresses_of_different_servers_are_different_also_without_regard_to_case(
    servers: list[str], first: str, second: str
) -> None:
    one, other = (scheme_of(server) for server in servers)
    assert one != other
    assert one == one.lower()
    assert qualified(servers[0], first) != qualified(servers[1], second)


@given(NAMES)
def test_a_name_becomes_a_valid_beginning_of_a_scheme(name: str) -> None:
    scheme = scheme_of(name)
    assert scheme[0].isalpha()
    assert set(scheme) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


def test_apps_and_skills_keep_their_scheme_and_everything_else_shows_its_server() -> None:
    addresses = Addresses(["fx", "Big_1"])
    assert addresses.public("fx", "test://a") == "fx+test://a"
    assert addresses.public("fx", "ui://app/x") == "ui://fx/app/x"
    assert addresses.public("Big_1", "test://a") == "x...big.-1+test://a"
    assert addresses.own("FX+test://A") == ("fx", "test://A"), "a client may write the scheme in capitals"
    assert addresses.own("no+test://a") is None
    assert addresses.own("test://a") is None
    assert addresses.own("ui://no/a") is None
    assert addresses.own("fx+ui://app/x") is None, "there is one address for it"


def test_a_server_without_prefix_keeps_its_uris_unless_they_read_as_anothers() -> None:
    addresses = Addresses(["a", "b", "fs"], ["a", "b"])
    assert addresses.public("a", "git+https://x") == "git+https://x"
    assert addresses.public("a", "fs+file:///etc") == "a+fs+file:///etc"
    assert addresses.public("a", "ui://fs/x") == "ui://a/fs/x"
    assert addresses.public("b", "test://x") == "b+test://x", "only one server can have the bare ones"
    assert addresses.own("test://x") == ("a", "test://x")
    assert addresses.own("fs+file:///etc") == ("fs", "file:///etc")
