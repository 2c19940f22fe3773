#!/bin/sh
# Resolve the dependencies again, within `exclude-newer` of pyproject.toml, and rewrite the two files of pinned versions and hashes.
#   ./scripts/lock.sh            rewrite them
#   ./scripts/lock.sh --upgrade  rewrite them with the newest versions allowed
#   ./scripts/lock.sh --check    change nothing; exit status 1 when they are out of date
# Needs a package index that tells upload times. The result names no index.
set -eu
unset CDPATH
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"
upgrade=
check=
case ${1:-} in
    '') ;;
    --upgrade) upgrade=--upgrade ;;
    --check) check=yes ;;
    *)
        echo "usage: ./scripts/lock.sh [--upgrade | --check]" >&2
        exit 2
        ;;
esac
# The pinned uv resolves, so that everybody gets the same result. The rest of the set-up may fail: a dependency that was just
# added is not in the old file yet.
./scripts/dev.sh setup || [ -x .venv/bin/uv ]
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT TERM

# $1: the file; the rest: what to resolve. The present versions are kept where they still fit.
compile() {
    file=$1
    shift
    cp -- "$file" "$work/pinned"
    .venv/bin/uv pip compile --quiet --python .venv/bin/python "$@" ${upgrade:+"$upgrade"} --universal --generate-hashes --no-annotate \
        --custom-compile-command "uv pip compile $* --universal --generate-hashes --no-annotate -o $file" -o "$work/pinned"
    if cmp -s -- "$file" "$work/pinned"; then
        echo "$file is up to date" >&2
    elif [ -n "$check" ]; then
        echo "$file is out of date: run ./scripts/lock.sh" >&2
        outdated=yes
    else
        cat -- "$work/pinned" >"$file"
        echo "$file was rewritten" >&2
    fi
}

outdated=
compile requirements.txt pyproject.toml --extra orch --group checks --group build
compile scripts/bootstrap-requirements.txt --group bootstrap
[ -z "$outdated" ]
