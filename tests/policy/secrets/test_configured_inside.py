"""Secrets inside configured values: connection strings, headers that are written out, JSON."""

from __future__ import annotations

import pytest

from lg_policy.secrets.configured import secret_parts, secrets_of_arguments


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("CONN", "Server=db;User=u;Password=Geheim123x;", ["Geheim123x"]),
        ("CONN", "Server=db; User Id=u; Pwd=Geheim123x", ["Geheim123x"]),
        ("DSN", "host=db user=u password=Geheim123x dbname=d", ["Geheim123x"]),
        ("AZURE", "AccountName=n;AccountKey=abc123DEF456ghi==;EndpointSuffix=core.example", ["abc123DEF456ghi=="]),
        ("OPENAPI_MCP_HEADERS", '{"Authorization": "Bearer ntn_abcdef123456", "Version": "1"}', ["ntn_abcdef123456"]),
        ("CONFIG", '{"region": "eu-central-1", "db": {"password": "Geheim123x"}}', ["Geheim123x"]),
        ("", "Authorization: Bearer abcdef123456", ["abcdef123456"]),
        ("HEADER", "X-Api-Key: abcdef123456", ["abcdef123456"]),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=abcdef123456,x=y", ["abcdef123456"]),
        ("url", "https://a.example/mcp?api_key=abc-def-123&x=y#z", ["abc-def-123"]),
        ("url", "https://u:Geheim123x@a.example/mcp?token=a%2Bbcdef", ["Geheim123x", "a%2Bbcdef", "a+bcdef"]),
        ("url", "https://a.example/mcp?keyword=abcdefgh&token_id=12345678", []),
    ],
)
def test_what_has_the_name_of_a_secret_inside_a_value_is_hidden(name: str, value: str, hidden: list[str]) -> None:
    assert secret_parts(name, value) == hidden


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPTIONS", "a=b;c=d"),
        ("NODE_OPTIONS", "--max-old-space-size=4096 --enable-source-maps"),
        ("PATHS", "a=/home/me/project;b=/home/me/other"),
        ("NOTE", "Region: eu-central-1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=my-service,env=production"),
        ("CONFIG", '{"region": "eu-central-1", "sizes": [1, 2]}'),
        ("CONFIG", '{"a": ' * 3_000),
    ],
)
def test_ordinary_values_with_names_inside_are_not_hidden(name: str, value: str) -> None:
    assert secret_parts(name, value) == []


def test_secrets_among_arguments_follow_the_option_that_names_them() -> None:
    arguments = [
        "--token",
        "abc-def-123",
        "--password=Geheim123x",
        "--root",
        "/home/me/project",
        "--port=8080",
        "serve",
    ]
    assert secrets_of_arguments(arguments) == ["abc-def-123", "Geheim123x"]
