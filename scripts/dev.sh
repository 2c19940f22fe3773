#!/bin/sh
# The clone's own entry point: makes .venv from the pinned requirements when needed, then becomes the command asked for.
# Only standard error is written to here; the command's standard output stays its own.
set -eu

usage() {
    cat >&2 <<'END'
usage: ./scripts/dev.sh                   all checks: format, lint, types, imports, tests, eval smoke
       ./scripts/dev.sh run [ARGS]        lg-orch run, on the repository you stand in
       ./scripts/dev.sh test [ARGS]       pytest, in this clone
       ./scripts/dev.sh check NAME...     some of the checks only
       ./scripts/dev.sh precommit         before a commit: format, lint, types, imports, the tests of what was changed
       ./scripts/dev.sh orch|gateway|fs|exec [ARGS]
                                          lg-orch, lg-gateway, lg-fs, lg-exec
       ./scripts/dev.sh setup             make the environment and stop
LG_PYTHON=/path/to/python chooses the interpreter that the environment is made from (3.11 or newer).
END
}

fail() {
    printf 'dev.sh: %s\n' "$1" >&2
    exit 2
}

unset CDPATH PYTHONPATH PYTHONHOME PYTHONSTARTUP

# An empty or relative entry of PATH means the caller's directory: it is left out, here and for what is started.
absolute=
rest=$PATH:
while [ -n "$rest" ]; do
    case $rest in /*) absolute=${absolute:+$absolute:}${rest%%:*} ;; esac
    rest=${rest#*:}
done
PATH=$absolute

# Where this file is, through symbolic links.
script=$0
case $script in */*) ;; *) script=./$script ;; esac
while [ -L "$script" ]; do
    target=$(readlink -- "$script")
    case $target in
        /*) script=$target ;;
        *) script=${script%/*}/$target ;;
    esac
done
root=$(cd -P -- "${script%/*}/.." && pwd -P) || fail "cannot find the clone that $0 belongs to"
venv=$root/.venv
python=$venv/bin/python
newline='
'
case $root in *"$newline"*) fail "a clone whose path has a line break is not supported: Python cannot record such a path" ;; esac

# Prints the first interpreter that is new enough, asked from a directory that says nothing about versions.
find_python() {
    cd /
    for name in ${LG_PYTHON:+"$LG_PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$name" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$name"
            return 0
        fi
        [ "$name" != "${LG_PYTHON:-}" ] || fail "LG_PYTHON=$LG_PYTHON is not a Python 3.11 or newer"
    done
    fail "no Python 3.11 or newer found (tried python3, python3.11 to python3.14, python); install one, or set LG_PYTHON"
}

# The environment is current when its stamp names this place, these inputs and (if one was asked for) this interpreter.
ensure_environment() {
    wanted=$(cat "$root/requirements.txt" "$root/pyproject.toml" "$root/scripts/bootstrap-requirements.txt" \
        "$root/scripts/environment.py" | cksum)
    if [ -x "$python" ] && [ -f "$venv/lg-stamp" ] && [ ! -e "$venv/lg-unfinished" ]; then
        { IFS= read -r place && IFS= read -r inputs && IFS= read -r chosen; } <"$venv/lg-stamp" || chosen=
        if [ "$place" = "$root" ] && [ "$inputs" = "$wanted" ] && { [ -z "${LG_PYTHON:-}" ] || [ "$LG_PYTHON" = "$chosen" ]; }; then
            return 0
        fi
    fi
    base=$(find_python) || exit $?
    (cd / && exec "$base" -I "$root/scripts/environment.py" --stamp "$wanted" --chosen "${LG_PYTHON:-}") || exit $?
}

# Becomes one of the installed programs. -P keeps the caller's directory off the module path.
program() {
    name=$1
    shift
    [ -f "$venv/bin/$name" ] || fail "$name is not part of this version"
    exec "$python" -P "$venv/bin/$name" "$@"
}

command=${1:-all}
[ $# -eq 0 ] || shift
case $command in
    help | -h | --help)
        usage
        exit 0
        ;;
    all | check | exec | fs | gateway | orch | precommit | run | setup | test) ensure_environment ;;
    *)
        usage
        fail "unknown command: $command"
        ;;
esac

case $command in
    run) program lg-orch run "$@" ;;
    orch | gateway | fs | exec) program "lg-$command" "$@" ;;
    test)
        cd -- "$root"
        [ $# -gt 0 ] || set -- -n auto --dist worksteal # the whole suite, on every processor; a selection starts quicker without
        exec "$python" -P -m pytest "$@"
        ;;
    all | check)
        cd -- "$root"
        exec "$python" -P scripts/checks.py "$@"
        ;;
    precommit)
        cd -- "$root"
        exec "$python" -P scripts/checks.py --changed "$@"
        ;;
esac
