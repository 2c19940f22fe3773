"""Files as clients write them, by the path at which each client keeps its own. Only the values are made up."""

from __future__ import annotations

FILES: dict[str, tuple[str, str]] = {
    "desktop": (
        ".config/Claude/claude_desktop_config.json",
        '{"mcpServers":{"fs":{"command":"npx","args":["-y","p","/a b"]}}}',
    ),
    "desktop on Windows": (
        "AppData/Roaming/Claude/claude_desktop_config.json",
        (
            '\ufeff{\r\n  "mcpServers": {\r\n    "fs": {"command": "C:\\\\x\\\\y.exe",'
            ' "args": ["-y", "p", "/a b"]}\r\n  }\r\n}\r\n'
        ),
    ),
    "claude code, user": (
        ".claude.json",
        """{"numStartups": 12, "mcpServers": {"everywhere": {"type": "stdio", "command": "a"}},
        "projects": {"PROJECT": {"allowedTools": [], "mcpServers": {"here": {"type": "stdio", "command": "b"}}},
                     "/other": {"mcpServers": {"x": {"command": "c"}, "y": {"command": "d"}}}}}""",
    ),
    "claude code, project": (
        "p/.mcp.json",
        """{"mcpServers": {"api": {"type": "http", "url": "${BASE:-http://127.0.0.1:1}/mcp",
                            "headers": {"Authorization": "Bearer ${T}"}}}}""",
    ),
    "claude code, helper": (
        "q/.mcp.json",
        '{"mcpServers": {"api": {"type": "http", "url": "https://a.example/mcp", "headersHelper": "/opt/headers.sh"}}}',
    ),
    "claude code, websocket": ("r/.mcp.json", '{"mcpServers": {"live": {"type": "ws", "url": "wss://a.example/mcp"}}}'),
    "cursor, address": (
        ".cursor/mcp.json",
        '{"mcpServers": {"api": {"url": "https://a.example/mcp", "headers": {"X-Key": "${env:K}"}}}}',
    ),
    "cursor, env file": (
        "p/.cursor/mcp.json",
        """{"mcpServers": {"db": {"command": "db-mcp", "args": ["${workspaceFolder}/data"], "envFile": ".env"}}}""",
    ),
    "vscode, inputs": (
        "p/.vscode/mcp.json",
        """{
  // asked once
  "inputs": [{"type": "promptString", "id": "t", "description": "Token of the API", "password": true},],
  "servers": {
    "one": {"type": "stdio", "command": "one", "env": {"TOKEN": "${input:t}"},},
    "two": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${input:t}"}},
  },
}
""",
    ),
    "vscode, values": (
        "q/.vscode/mcp.json",
        '{"servers": {"one": {"type": "stdio", "command": "one", "env": {"A": 1, "B": null}}}}',
    ),
    "vscode, sockets": (
        "r/.vscode/mcp.json",
        """{"servers": {"sock": {"type": "http", "url": "unix:///s"},
                     "boxed": {"type": "stdio", "command": "x", "sandboxEnabled": true,
                               "sandbox": {"network": {"allowedDomains": []}}}}}""",
    ),
    "vscode, settings": (
        ".config/Code/User/settings.json",
        """{"editor.fontSize": 12, /* old place */ "mcp": {"inputs": [], "servers": {"one": {"command": "one"}}},
        "chat.mcp.enabled": true}""",
    ),
    "cline, untyped": (
        ".cline/data/settings/cline_mcp_settings.json",
        '{"mcpServers": {"api": {"url": "https://a.example/sse", "disabled": false, "autoApprove": []}}}',
    ),
    "cline, nested": (
        "c/cline_mcp_settings.json",
        """{"mcpServers": {"api": {"transport": {"type": "streamableHttp", "url": "https://a.example/mcp"},
        "timeout": 60000, "oauth": {"tokens": {"access_token": "at-5up3rs3cr3t"}}}}}""",
    ),
    "roo": (
        ".roo/mcp.json",
        """{"mcpServers": {"files": {"command": "files-mcp", "alwaysAllow": ["r"], "disabledTools": ["w"],
        "timeout": 30}}}""",
    ),
    "kiro": (
        ".kiro/settings/mcp.json",
        '{"mcpServers": {"docs": {"command": "docs-mcp", "disabled": true, "autoApprove": ["*"]}}}',
    ),
    "zed": (
        ".config/zed/settings.json",
        """// Zed settings
{
  "theme": "One Dark",
  "context_servers": {
    "new": {"command": "new-mcp", "args": ["--stdio"], "env": null},
    "old": {"source": "custom", "command": {"path": "old-mcp", "args": ["-x"], "env": {"A": "1"}}},
    "extension": {"settings": {"api_key": "k"}}, // an extension's
  },
}
""",
    ),
    "windsurf": (
        ".codeium/windsurf/mcp_config.json",
        """{"mcpServers": {"api": {"serverUrl": "https://a.example/mcp", "headers": {"X-Key": "${file:KEYFILE}"}}}}""",
    ),
    "continue": (
        ".continue/config.yaml",
        """name: mine
version: 1.0.0
mcpServers:
  # remote
  - name: api
    type: streamable-http
    url: https://a.example/mcp
    requestOptions:
      headers:
        Authorization: Bearer ${{ secrets.X }}
""",
    ),
    "gemini": (
        ".gemini/settings.json",
        """{"mcp": {"excluded": ["off"]}, "mcpServers": {
        "api": {"httpUrl": "https://a.example/mcp", "url": "https://a.example/sse", "trust": true,
                "excludeTools": ["wipe"], "headers": {"X-Key": "$T"}, "timeout": 5000},
        "off": {"command": "off-mcp"}}}""",
    ),
    "codex": (
        ".codex/config.toml",
        """model = "o"

[mcp_servers.local]
command = "local-mcp"
env_vars = ["TOKEN", { name = "OTHER", source = "local" }]
tool_timeout_sec = 90

[mcp_servers."my api"]
url = "https://a.example/mcp"
bearer_token_env_var = "TOKEN"
enabled = false
""",
    ),
    "goose": (
        ".config/goose/config.yaml",
        """GOOSE_PROVIDER: x
extensions:
  developer: {enabled: true, type: builtin, name: developer, timeout: 300}
  db:
    enabled: true
    type: stdio
    name: db
    cmd: db-mcp
    args: [--stdio]
    env_keys: [DB_PASSWORD]
    timeout: 300
  gone: {enabled: true, type: sse, name: gone, uri: "https://a.example/sse"}
""",
    ),
    "opencode": (
        ".config/opencode/opencode.jsonc",
        """{"$schema": "x", "mcp": {
        "local": {"type": "local", "command": ["npx", "-y", "p"], "environment": {"K": "{env:K}"}, "enabled": true},
        "elsewhere": {"enabled": false}}}""",
    ),
    "fastmcp": (
        "s/mcp.json",
        """{"api": {"url": "https://a.example/mcp", "transport": "http", "auth": "oauth"},
        "local": {"command": "local-mcp", "env": {"N": 1}, "tools": {"old": {"name": "new"}}}}""",
    ),
}
