"""Files of clients as people and programs leave them behind: odd, broken, or rarely seen. Name, client and content."""

# ruff: noqa: E501  a file that is broken across lines here could not be read

from __future__ import annotations

MARK = "\ufeff"
_HISTORY = ",".join('{"t": "%s"}' % ("x" * 90) for _ in range(50_000))
BIG = f'{{"history": [{_HISTORY}],\n "mcpServers": {{"a": {{"command": "a-mcp"}}}}\n}}\n'
PLACES: dict[str, str] = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "zed": ".config/zed/settings.json",
    "windsurf": ".codeium/windsurf/mcp_config.json",
    "continue": ".continue/config.yaml",
    "gemini-cli": ".gemini/settings.json",
    "codex": ".codex/config.toml",
    "cline": ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
    "goose": ".config/goose/config.yaml",
    "opencode": ".config/opencode/opencode.json",
    "roo": ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
    "kiro": ".kiro/settings/mcp.json",
    "lmstudio": ".lmstudio/mcp.json",
    "junie": ".junie/mcp/mcp.json",
    "copilot-cli": ".copilot/mcp-config.json",
    "amazon-q": ".aws/amazonq/mcp.json",
}
"""Where each client of this module keeps its file, below the home directory."""
ODD: list[tuple[str, str, bytes]] = [
    (
        "bom-crlf-jsonc",
        "vscode",
        (
            MARK
            + '// mine\r\n{\r\n\t"servers": {\r\n\t\t"a": {"type": "stdio", "command": "a-mcp",}, // x\r\n\t},\r\n}\r\n'
        ).encode(),
    ),
    ("duplicate keys", "cursor", b'{"mcpServers": {"a": {"command": "one"}, "a": {"command": "two"}}}\n'),
    (
        "duplicate tables",
        "cursor",
        b'{"mcpServers": {"a": {"command": "one"}}, "mcpServers": {"b": {"command": "two"}}}\n',
    ),
    ("duplicate fields", "cursor", b'{"mcpServers": {"a": {"command": "one", "command": "two", "args": ["x"]}}}\n'),
    (
        "unknown type",
        "vscode",
        b'{"servers": {"q": {"type": "quic", "url": "quic://x"}, "ok": {"type": "stdio", "command": "ok-mcp"}}}',
    ),
    (
        "env placeholder key",
        "cursor",
        b'{"mcpServers": {"${env:NAME}": {"command": "x", "env": {"${env:K}": "v", "A B": "c", "": "d"}}}}',
    ),
    (
        "input headers",
        "vscode",
        b'{"inputs": [{"id": "k", "type": "promptString"}], "servers": {"h": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${input:k}", "X-${input:k}": "y"}}}}',
    ),
    (
        "http oauth",
        "claude-code",
        b'{"mcpServers": {"h": {"type": "http", "url": "https://a.example/mcp", "oauth": {"clientId": "x", "callbackPort": 8080, "authServerMetadataUrl": "https://a.example/.well-known"}}}}',
    ),
    (
        "claude projects",
        "claude-code",
        b'{"numStartups": 3, "projects": {"/a": {"mcpServers": {"p": {"command": "p-mcp"}}, "enabledMcpjsonServers": ["x"], "disabledMcpServers": []}, "/b": {}}, "mcpServers": {}}',
    ),
    ("claude projects null", "claude-code", b'{"projects": null, "mcpServers": null}'),
    (
        "vscode dev",
        "vscode",
        b'{"servers": {"d": {"type": "stdio", "command": "d-mcp", "dev": {"watch": "src/**", "debug": {"type": "node"}}, "gallery": true, "version": "1.2"}}}',
    ),
    (
        "zed old",
        "zed",
        b'// Zed\n{\n  "theme": "One",\n  "context_servers": {\n    "old": {"source": "custom", "command": {"path": "old-mcp", "args": ["x"], "env": null}, "settings": {}},\n    "ext": {"source": "extension", "settings": {"k": 1}},\n    "new": {"source": "custom", "command": "new-mcp", "args": [], "enabled": false},\n    "url": {"url": "https://a.example/mcp", "headers": {"A": "b"}},\n  },\n}\n',
    ),
    ("codex inline", "codex", b'mcp_servers = { a = { command = "a-mcp", args = ["x"] } }\n# end\n'),
    (
        "codex dotted",
        "codex",
        b'# top\nmodel = "o"\nmcp_servers.a.command = "a-mcp" # c1\nmcp_servers.a.args = ["x"]\nmcp_servers."b c".command = "b"\nmcp_servers.a.env.TOKEN = "t"\n\n[tui]\nx = 1\n',
    ),
    (
        "codex mixed",
        "codex",
        b'[mcp_servers]\n# in between\na.command = "a-mcp"\n\n[mcp_servers.b]\ncommand = "b-mcp"\n[mcp_servers.b.env]\nK = "v"\n[mcp_servers.b.tools.x]\napproval_mode = "approve"\n[mcp_servers.h]\nurl = "https://a.example/mcp"\nbearer_token_env_var = "TOK"\nhttp_headers = { X = "y" }\n[profiles.p]\nmodel = "m"\n',
    ),
    ("codex crlf", "codex", b'model = "o"\r\n\r\n[mcp_servers.a]\r\ncommand = "a-mcp"\r\n'),
    (
        "continue yaml",
        "continue",
        b'%YAML 1.2\n---\nname: mine # x\nversion: 1.0.0\nschema: v1\nmodels: &m\n  - name: x\nmcpServers:\n  - name: a\n    command: a-mcp\n    args: ["-y"]\n  - name: b   # two\n    type: streamable-http\n    url: https://a.example/mcp\n    requestOptions: {headers: {A: "${{ secrets.K }}"}}\n  - uses: org/block\n',
    ),
    ("continue yaml flow", "continue", b"{name: mine, mcpServers: [{name: a, command: a-mcp}]}\n"),
    ("continue multi-doc", "continue", b"name: a\nmcpServers:\n  - name: a\n    command: a-mcp\n---\nname: b\n"),
    ("continue tabs anchors", "continue", b"x: &c\n  command: a-mcp\nmcpServers:\n- <<: *c\n  name: a\n"),
    (
        "gemini trust",
        "gemini-cli",
        b'{"mcpServers": {"a": {"command": "a-mcp", "trust": true, "includeTools": ["x"], "excludeTools": ["y"], "timeout": 5000, "cwd": "./x", "env": {"K": "$HOME/x", "L": "${L}"}}, "h": {"httpUrl": "https://a.example/mcp", "authProviderType": "google_credentials"}, "s": {"url": "https://a.example/sse"}}, "mcp": {"allowed": ["a"]}}',
    ),
    (
        "windsurf serverUrl",
        "windsurf",
        b'{"mcpServers": {"a": {"serverUrl": "https://a.example/sse", "disabledTools": ["x"], "headers": {"K": "${env:K}"}}}}',
    ),
    (
        "cline autoApprove",
        "cline",
        b'{\n  "mcpServers": {\n    "a": {"command": "a-mcp", "autoApprove": ["x", 1, null], "disabled": false, "timeout": 60, "transportType": "stdio"},\n    "github.com/x/y": {"command": "y", "args": [], "autoApprove": []}\n  }\n}',
    ),
    ("5 MB", "claude-code", BIG.encode()),
    ("empty", "cursor", b""),
    ("spaces", "cursor", b" \r\n\t\n"),
    ("only bom", "cursor", MARK.encode()),
    ("comment only", "vscode", b"// nothing yet\n"),
    ("null", "cursor", b"null"),
    ("list", "cursor", b"[]"),
    ("invalid utf8", "cursor", b'{"mcpServers": {"a": {"command": "caf\xe9"}}}'),
    ("utf16", "cursor", '{"mcpServers": {"a": {"command": "a-mcp"}}}'.encode("utf-16")),
    ("nul", "cursor", b'{"mcpServers": {"a": {"command": "a\\u0000b", "args": ["\\ud800"]}}}'),
    ("nested deep", "cursor", b'{"x": ' + b"[" * 3000 + b"]" * 3000 + b', "mcpServers": {}}'),
    (
        "huge number",
        "cursor",
        b'{"mcpServers": {"a": {"command": "a-mcp", "timeout": 1e999, "args": [1, 2.5, true, null, {"a": 1}]}}, "n": '
        + b"9" * 5000
        + b"}",
    ),
    (
        "wrong types",
        "cursor",
        b'{"mcpServers": {"a": {"command": ["a-mcp", "x"]}, "b": "b-mcp", "c": null, "d": {"command": 5}, "e": {"args": ["x"]}, "f": {"command": "f", "args": "x y"}, "g": {"command": "g", "env": ["A=b"]}}}',
    ),
    ("servers as list", "cursor", b'{"mcpServers": [{"name": "a", "command": "a-mcp"}]}'),
    ("servers as text", "cursor", b'{"mcpServers": "none"}'),
    (
        "names",
        "cursor",
        '{"mcpServers": {"": {"command": "a"}, "a__b": {"command": "b"}, "A": {"command": "c"}, "a": {"command": "d"}, "ünï cödé 🎉": {"command": "e"}, "fs": {"command": "f"}, "lg": {"command": "g"}, "../../x": {"command": "h"}, "a\\nb": {"command": "i"}}}'.encode(),
    ),
    (
        "windows cmd",
        "claude-desktop",
        b'{"mcpServers": {"a": {"command": "cmd", "args": ["/c", "npx", "-y", "p@latest"], "env": {"APPDATA": "C:\\\\U\\\\x"}}}}',
    ),
    ("no newline minified", "claude-desktop", b'{"mcpServers":{}}'),
    (
        "deep indent 3",
        "cursor",
        b'{\n   "mcpServers" :\n   {\n      "a" :\n      {\n         "command" : "a-mcp"\n      }\n   }\n}\n\n\n',
    ),
    ("trailing garbage", "cursor", b'{"mcpServers": {"a": {"command": "a-mcp"}}}\n}\n'),
    ("hash comments", "cursor", b'# mine\n{"mcpServers": {"a": {"command": "a-mcp"}}}\n'),
    ("json5", "cursor", b"{mcpServers: {'a': {command: 'a-mcp'}}}"),
    (
        "opencode array",
        "opencode",
        b'{"$schema": "x", "mcp": {"a": {"type": "local", "command": ["a-mcp", "x"], "environment": {"K": "{env:K}"}, "enabled": false}, "r": {"type": "remote", "url": "https://a.example/mcp", "oauth": false}}}',
    ),
    (
        "goose",
        "goose",
        b"extensions:\n  developer:\n    enabled: true\n    type: builtin\n    name: developer\n  a:\n    cmd: a-mcp\n    args:\n    - x\n    type: stdio\n    env_keys: [TOKEN]\n    envs: {}\n    enabled: true\n  h:\n    type: streamable_http\n    uri: https://a.example/mcp\n",
    ),
    ("goose empty ext", "goose", b"extensions: {}\nGOOSE_PROVIDER: x\n"),
    ("goose null ext", "goose", b"GOOSE_PROVIDER: x\nextensions:\n"),
    ("yaml dup", "goose", b"extensions:\n  a: {cmd: a, type: stdio}\n  a: {cmd: b, type: stdio}\n"),
    ("yaml crlf bom", "continue", (MARK + "name: a\r\nmcpServers:\r\n  - name: a\r\n    command: a-mcp\r\n").encode()),
    (
        "amazon",
        "amazon-q",
        b'{"mcpServers": {"a": {"command": "a-mcp", "timeout": 1000, "disabled": true}}, "useLegacyMcpJson": true}',
    ),
]
