"""`lg-gateway config` shows settings with their origin, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lg_gateway.cli import main
from tests.gateway.rig import ALLOW_ALL, server, write_config

SECRETS = """
[store]
url = "postgresql://me:first-secret@127.0.0.1/lg?sslpassword=second-secret"
[models.default]
provider = "openai"
model = "m"
base_url = "https://third-secret@127.0.0.1/v1"
[trace]
otlp_endpoint = "http://user:fourth-secret@127.0.0.1:4318/v1/traces?key=fifth-secret"
[gateway.servers.web]
url = "https://user:sixth-secret@example.com/mcp?key=seventh-secret"
headers = { Authorization = "Bearer ${TOKEN:-eighth-secret}", Plain = "ninth-secret", Named = "Bearer ${TOKEN}" }
oauth = { issuer = "https://example.com", client_id = "me", client_secret = "tenth-secret" }
[gateway.servers.program]
command = "python3"
args = ["--token", "eleventh-secret", "--api-key=twelfth-secret", "--password", "${PASSWORD}", "--dir", "/srv"]
env = { ANY = "thirteenth-secret", SOME = "${secret:SOME}" }
"""


def test_each_setting_is_shown_with_where_it_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = '[policy]\nread_deny = ["*.key"]\n[gateway]\nname_max = 50\n[gateway.http]\nlogin = "none"\n'
    config = write_config(tmp_path, own, server("a"), ALLOW_ALL)
    assert main(["config", "show", "--json", "--config", str(config)]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert shown["gateway.name_max"] == {"value": 50, "origin": str(config)}
    assert shown["gateway.http.login"] == {"value": "none", "origin": str(config)}
    assert shown["gateway.http.ready_needs"] == {"value": "servers", "origin": "built in"}
    assert shown["policy.read_deny"]["origin"] == f"built in; {config}"
    assert "*.key" in shown["policy.read_deny"]["value"]
    assert shown["profile"] == {"value": "dev", "origin": "command line"}
    assert shown["gateway.rules.1"]["origin"].startswith(f"{config}:")


def test_only_one_table_or_only_what_was_changed_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, '[gateway.http]\nlogin = "none"\n', server("a"))
    assert main(["config", "show", "gateway.http", "--changed", "--config", str(config)]) == 0

    assert capsys.readouterr().out == f'gateway.http.login = "none"  # {config}\n'


@pytest.mark.attack("Secrets", "reading the settings that a command prints, for a secret in them")
def test_no_secret_of_the_settings_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TOKEN", "PASSWORD"):
        monkeypatch.setenv(name, "fourteenth-secret")
    config = write_config(tmp_path, SECRETS)
    assert main(["config", "show", "--config", str(config)]) == 0
    text = capsys.readouterr().out
    assert main(["config", "show", "--json", "--config", str(config)]) == 0
    shown = json.loads(as_json := capsys.readouterr().out)
    assert main(["config", "path", "--config", str(config)]) == 0
    places = capsys.readouterr().out

    assert "-secret" not in text + as_json + places
    assert shown["gateway.servers.web.headers.Named"]["value"] == "Bearer ${TOKEN}"
    assert shown["gateway.servers.program.args"]["value"] == [
        "--token", "(hidden)", "--api-key=(hidden)", "--password", "${PASSWORD}", "--dir", "/srv",
    ]  # fmt: skip
    assert shown["gateway.servers.program.env.SOME"]["value"] == "${secret:SOME}"
    assert str(config) in places


def test_settings_are_checked_without_starting_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, server("a", "--exit", "1"))
    assert main(["config", "check", "--config", str(config)]) == 0
    good = capsys.readouterr()
    config = write_config(tmp_path, '[gateway.servers.a]\ncommand = "x"\nenv.T = "${secret:NOT_THERE}"\n')
    assert main(["config", "check", "--config", str(config)]) == 2
    missing = capsys.readouterr()
    config = write_config(tmp_path, "[gateway]\nname_mx = 1\n")
    assert main(["config", "check", "--config", str(config)]) == 2
    wrong = capsys.readouterr()

    assert "in order" in good.out
    assert "NOT_THERE" in missing.err
    assert "name_max" in wrong.err
