"""The command templates that ship with `lg-exec`, as data for `lg_policy.config.settings.CommandTemplate`.

Omissions are deliberate: no list has options that make an allowed program run another program, load a plugin or a
configuration from elsewhere, or write outside its caches. `docs/commands.md` names them.
"""

from __future__ import annotations

from typing import Any


def _words(*lines: str) -> list[str]:
    return " ".join(lines).split()


_PYTEST_ARGS = _words(
    "-q -qq -v -vv -x -s -l -rA -ra -rf -rs --quiet --verbose --exitfirst --lf --last-failed --ff",
    "--failed-first --nf --sw --collect-only --co --no-header --no-summary --strict-markers --showlocals",
    "--disable-warnings --fixtures --markers --version --no-cov --runxfail --full-trace --doctest-modules",
    "-p=no:cacheprovider|no:randomly|no:xdist|no:cov|no:sugar|no:warnings|junitxml --junitxml=/dev/stderr",
    "-k=* -m=* -W=* -n=* --maxfail=* --durations=* --tb=* --color=* --timeout=* --capture=* --import-mode=*",
    "--deselect=* --ignore=path:** --cov=* --cov-report=term|term-missing --hypothesis-seed=* path:**",
)

_MYPY_ARGS = _words(
    "--strict --no-incremental --show-error-codes --pretty --no-pretty --no-error-summary --no-color-output",
    "--ignore-missing-imports --explicit-package-bases --namespace-packages --check-untyped-defs --version",
    "--follow-imports=normal|silent|skip|error --python-version=* --platform=* --exclude=*",
    "--config-file=path:** -p=* -m=* path:**",
)

_RUFF_ARGS = _words(
    "first:check|format|rule|version|--version --check --diff --quiet -q --statistics --no-cache --preview",
    "--isolated --no-fix --exit-zero --show-files --show-settings --select=* --ignore=* --extend-select=*",
    "--output-format=* --line-length=* --target-version=* --exclude=* path:**",
)

_CARGO_ARGS = _words(
    "first:build|check|test|clippy|fmt|metadata|tree|--version --check --workspace --all --all-targets",
    "--all-features --no-default-features --lib --bins --tests --examples --release --locked --no-run",
    "--no-fail-fast --keep-going --no-deps -q --quiet -v --verbose --doc -p=* --package=* --features=*",
    "--test=* --bin=* --example=* --exclude=* -j=* --jobs=* --profile=* --message-format=human|short|json",
    "--color=* --format-version=1 --... text:*",
)

_GO_ARGS = _words(
    "first:build|test|vet|list|version -v -race -short -json -failfast -x -run=* -count=* -timeout=* -bench=*",
    "-cover -tags=* -p=1|2|3|4|6|8|12|16|24|32 path:**",  # go takes `-pX` for another option, not for `-p X`
)

_GIT_ARGS = [
    "first:status",
    "first:diff|log|show +--no-ext-diff +--no-textconv",
    "first:blame +--no-textconv",
    *_words(
        "--short -s --porcelain --branch -b --stat --numstat --shortstat",
        "--name-only --name-status --oneline --cached --staged --no-color --graph --all --follow --merges",
        "--no-merges --reverse -p --patch --no-patch --decorate --no-decorate --word-diff -w --ignore-all-space",
        "--untracked-files=no|normal|all -n=* --max-count=* --since=* --until=* --author=* --grep=* --format=*",
        "--pretty=* --date=* -L=* -U=* --diff-filter=* --abbrev=* -- text:*",
    ),
]

DEFAULT_COMMANDS: dict[str, dict[str, Any]] = {
    "pytest": {
        "description": "Run Python tests with the project's pytest",
        "from": "project",
        "args_allow": _PYTEST_ARGS,
        "rerun": True,
    },
    "python-pytest": {
        "description": "Run `python -m pytest` with the project's interpreter",
        "executable": "python",
        "from": "project",
        "prefix": ["-m", "pytest"],
        "args_allow": _PYTEST_ARGS,
        "rerun": True,
    },
    "python": {
        "description": "Run a script under the root, `-m MODULE` or `-c CODE` with the project's python (sandbox only)",
        "from": "project",
        "args_allow": _words(
            "-B -E -I -O -u -v -V --version -W=* -X=* -m=*... -c=*... path:**...",
        ),
        "rerun": True,
    },
    "ruff": {
        "description": "Lint or check formatting with the project's ruff",
        "from": "project",
        "args_allow": _RUFF_ARGS,
        "rerun": True,
    },
    "mypy": {
        "description": "Check types with the project's mypy",
        "from": "project",
        "args_allow": _MYPY_ARGS,
        "rerun": True,
    },
    "uv-run": {
        "description": "Run a program of the project's environment with `uv run --no-sync --offline` (sandbox only)",
        "executable": "uv",
        "prefix": ["run", "--no-sync", "--offline", "--"],
        "args_allow": ["text:*..."],
        "needs_sandbox": True,
        "rerun": True,
    },
    "cargo": {
        "description": "Build, test or lint Rust code offline",
        "prefix": ["--offline"],
        "args_allow": _CARGO_ARGS,
        "args_deny": ["text:+*", "text:*=*"],
        "rerun": True,
    },
    "npm-test": {
        "description": "Run `npm test`",
        "executable": "npm",
        "prefix": ["test"],
        "args_allow": ["--silent", "--...", "--workspace=*", "--workspaces"],
        "rerun": True,
    },
    "npm-run": {
        "description": "Run a script of package.json",
        "executable": "npm",
        "prefix": ["run"],
        "args_allow": ["--silent", "--if-present", "--workspace=*", "--workspaces", "--...", "text:*"],
        "rerun": True,
    },
    "npx-tsc": {
        "description": "Check types with the project's TypeScript compiler, writing nothing",
        "executable": "tsc",
        "from": "project",
        "prefix": ["--noEmit"],
        "args_allow": ["--pretty", "--strict", "--version", "-p=path:**", "--project=path:**"],
        "rerun": True,
    },
    "node-test": {
        "description": "Run tests with `node --test`",
        "executable": "node",
        "prefix": ["--test"],
        "args_allow": (
            [
                "--test-only",
                "--test-name-pattern=*",
                "--test-reporter=spec|tap|dot|junit",
                "--test-reporter-destination=stdout|stderr|/dev/stderr",
                "--test-timeout=*",
                "path:**",
            ]
        ),
        "rerun": True,
    },
    "go": {
        "description": "Build, test or vet Go code",
        "args_allow": _GO_ARGS,
        "rerun": True,
    },
    "make": {
        "description": "Run targets of the Makefile",
        "args_allow": ["-n", "-k", "-B", "-s", "-j=*", "text:*"],
        "args_deny": ["text:*=*"],
        "rerun": True,
    },
    "git": {
        "description": "Look at history and changes: status, diff, log, show, blame",
        "enabled": False,
        "root": "ro",
        "prefix": ["--no-pager", "--literal-pathspecs"],
        "args_allow": _GIT_ARGS,
        "args_deny": ["text:/*", "text:..", "text:../*", "text:*/../*"],  # two such operands are `--no-index` unasked
        "needs_sandbox": True,  # filters that the repository configures run on `status`
        "rerun": True,
    },
}
