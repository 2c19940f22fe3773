"""Which proxy the environment names for an address."""

from __future__ import annotations

import pytest

from lg_policy.outgoing.proxies import Proxies, ProxyFailed

HTTPS = {"HTTPS_PROXY": "http://proxy.test:3128"}


def chosen(environ: dict[str, str], url: str = "https://api.example.com:443") -> str:
    scheme, rest = url.split("://")
    host, _, port = rest.rpartition(":")
    proxy = Proxies(environ).proxy_for(scheme, host.strip("[]"), int(port))
    return f"{proxy.host}:{proxy.port}" if proxy is not None else ""


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://api.example.com:443", ""),
        (HTTPS, "https://api.example.com:443", "proxy.test:3128"),
        (HTTPS, "http://api.example.com:80", ""),
        ({"http_proxy": "proxy.test"}, "http://api.example.com:80", "proxy.test:80"),
        ({"ALL_PROXY": "https://proxy.test"}, "http://api.example.com:80", "proxy.test:443"),
        (HTTPS | {"https_proxy": "http://small.test:1"}, "https://api.example.com:443", "small.test:1"),
        (HTTPS | {"https_proxy": ""}, "https://api.example.com:443", ""),
        (HTTPS, "https://localhost:443", ""),
        (HTTPS, "https://127.9.9.9:443", ""),
        (HTTPS, "https://localhost.:443", ""),
        (HTTPS, "https://LOCALHOST:443", ""),
        (HTTPS, "https://127.1:443", ""),
        (HTTPS, "https://[::ffff:127.0.0.1]:443", ""),
        (HTTPS, "https://127.1.example.com:443", "proxy.test:3128"),
        (HTTPS, "https://[::1]:443", ""),
        (HTTPS, "https://a.localhost:443", ""),
    ],
)
def test_the_variables_name_the_proxy_and_this_machine_has_none(environ: dict[str, str], url: str, proxy: str) -> None:
    assert chosen(environ, url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("example.com", "https://example.com:443", True),
        ("example.com", "https://api.EXAMPLE.com:443", True),
        ("example.com", "https://badexample.com:443", False),
        (".example.com", "https://api.example.com:443", True),
        ("*.example.com", "https://api.example.com:443", True),
        ("a.test, example.com", "https://api.example.com:443", True),
        ("*", "https://api.example.com:443", True),
        ("example.com:8443", "https://example.com:443", False),
        ("example.com:8443", "https://example.com:8443", True),
        ("10.0.0.0/8", "https://10.1.2.3:443", True),
        ("10.0.0.0/8", "https://11.1.2.3:443", False),
        ("10.1.2.3", "https://10.1.2.3:443", True),
        ("[fd00::1]:443", "https://[fd00::1]:443", True),
        ("fd00::/8", "https://[fd00::1]:443", True),
        ("10.0.0.0/8", "https://10.example.com:443", False),
        (",, ,", "https://example.com:443", False),
        (".", "https://example.com:443", False),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(no_proxy: str, url: str, direct: bool) -> None:
    assert (chosen(HTTPS | {"NO_PROXY": no_proxy}, url) == "") == direct


@pytest.mark.parametrize(
    "value", ["socks5://proxy.test:1080", "http://", "http://[::1", "http://proxy.test:99999", "http://a b", "ftp://x"]
)
def test_a_value_that_is_no_http_proxy_is_an_error_that_names_the_variable(value: str) -> None:
    with pytest.raises(ProxyFailed, match="HTTPS_PROXY"):
        chosen({"HTTPS_PROXY": value})


def test_a_password_is_sent_and_never_shown() -> None:
    proxy = Proxies({"HTTPS_PROXY": "http://ann:p%40ss@proxy.test:3128"}).proxy_for("https", "example.com", 443)
    assert proxy is not None
    assert proxy.authorization == b"Basic YW5uOnBAc3M="
    assert "p@ss" not in repr(proxy) + str(proxy)
    assert "YW5u" not in repr(proxy) + str(proxy)
