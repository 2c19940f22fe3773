"""Writes completion scripts for bash, zsh and fish from the parsers. A script is text: Tab starts no program."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from lg_policy.command_line.commands import Command, CommandSet
from lg_policy.command_line.words import OptionWords, TypedPlace, places

SHELLS = ("bash", "zsh", "fish")


def completion_command() -> Command:
    """Return the command that a program adds to its own."""
    return Command(
        name="completion",
        help="print a script that completes commands and options in your shell",
        description=(
            "Print a completion script. For bash put `source <(PROGRAM completion bash)` into ~/.bashrc, for zsh"
            " `source <(PROGRAM completion zsh)` into ~/.zshrc after compinit, for fish save it as"
            " ~/.config/fish/completions/PROGRAM.fish."
        ),
        run="lg_policy.command_line.completion:run",
        flags=_flags,
        example="completion bash",
    )


def _flags(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """`PROGRAM completion SHELL`."""
    print(script(args.command_set, args.shell), end="")
    return 0


def script(commands: CommandSet, shell: str) -> str:
    """Return the completion script of a program for one of `SHELLS`."""
    writers: Mapping[str, Callable[[CommandSet], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return writers[shell](commands)


def _function(commands: CommandSet) -> str:
    return "_" + commands.program.replace("-", "_")


def _known(commands: CommandSet) -> list[TypedPlace]:
    return list(places(commands))


def _valued(found: list[TypedPlace]) -> dict[str, OptionWords]:
    """Return the options that take a value, by their spelling."""
    return {name: option for place in found for option in place.options if option.value for name in option.names}


def _walk(found: list[TypedPlace]) -> str:
    """Return the lines of a `case` that go one word further in a command line."""
    paths = (" ".join(place.words) for place in found if place.words)
    return "\n".join(f'      " {path}") place="{path}" ;;' for path in paths)


def _bash(commands: CommandSet) -> str:
    found, name = _known(commands), _function(commands)
    valued = _valued(found)
    with_choices = [
        f'    {spelling}) COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current")); return ;;'
        for spelling, option in valued.items()
        if option.choices
    ]
    free = "|".join(spelling for spelling, option in valued.items() if not option.choices)
    words = [
        f'    "{" ".join(place.words)}") names="{" ".join(word for word, _ in place.names)}"'
        f' options="{" ".join(spelling for option in place.options for spelling in option.names)}" ;;'
        for place in found
    ]
    return f"""# bash completion for {commands.program}; written by `{commands.program} completion bash`
{name}() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
  local place="" names="" options="" index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case " ${{place:+$place }}${{COMP_WORDS[index]}}" in
{_walk(found)}
    esac
  done
  COMPREPLY=()
  case "$before" in
{chr(10).join(with_choices)}
    {free}) return ;;
  esac
  case "$place" in
{chr(10).join(words)}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $names ]]; then
    COMPREPLY=($(compgen -W "$names" -- "$current"))
  fi
}}
complete -o default -F {name} {commands.program}
"""


def _zsh(commands: CommandSet) -> str:
    found, name = _known(commands), _function(commands)
    with_choices = [
        f"    {spelling}) compadd -- {' '.join(option.choices)}; return ;;"
        for spelling, option in _valued(found).items()
        if option.choices
    ]
    files = "|".join(spelling for spelling, option in _valued(found).items() if not option.choices)
    names = [
        f'    "{" ".join(place.words)}") names=({" ".join(_zsh_entry(word, text) for word, text in place.names)}) ;;'
        for place in found
        if place.names
    ]
    options = [
        f'    "{" ".join(place.words)}") options=('
        + " ".join(_zsh_entry(spelling, option.help) for option in place.options for spelling in option.names)
        + ") ;;"
        for place in found
        if place.options
    ]
    return f"""#compdef {commands.program}
# zsh completion for {commands.program}; written by `{commands.program} completion zsh`
{name}() {{
  local place="" word
  local -a names options
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case " ${{place:+$place }}$word" in
{_walk(found)}
    esac
  done
  case "${{words[CURRENT-1]}}" in
{chr(10).join(with_choices)}
    {files}) _files; return ;;
  esac
  case "$place" in
{chr(10).join(names)}
  esac
  case "$place" in
{chr(10).join(options)}
  esac
  if [[ "${{words[CURRENT]}}" == -* ]]; then
    _describe option options
  elif (( $#names )); then
    _describe command names
  else
    _files
  fi
}}
if [[ "$funcstack[1]" == "{name}" ]]; then
  {name} "$@"
else
  compdef {name} {commands.program}
fi
"""


def _zsh_entry(word: str, text: str) -> str:
    return _quoted(f"{word}:{text}" if text else word)


def _fish(commands: CommandSet) -> str:
    found = _known(commands)
    lines = [
        f"# fish completion for {commands.program}; written by `{commands.program} completion fish`",
        f"complete -c {commands.program} -n __fish_use_subcommand -f",
    ]
    for place in found:
        condition = _fish_condition(place, found)
        for word, text in place.names:
            says = f" -d {_quoted(text)}" if text else ""
            lines.append(f"complete -c {commands.program} -n {_quoted(condition)} -f -a {word}{says}")
        options = map(_fish_option, place.options)
        lines += [f"complete -c {commands.program} -n {_quoted(condition)} {option}" for option in options]
    return "\n".join(lines) + "\n"


def _fish_condition(place: TypedPlace, found: list[TypedPlace]) -> str:
    """Return when a place is the one that is being typed at."""
    if not place.words:
        return "__fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in place.words)
    below = [other.words[-1] for other in found if other.words[:-1] == place.words and other.words != place.words]
    return seen + (f"; and not __fish_seen_subcommand_from {' '.join(below)}" if below else "")


def _fish_option(option: OptionWords) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    value = ""
    if option.choices:
        value = f" -x -a {_quoted(' '.join(option.choices))}"
    elif option.value:
        value = " -r -F" if option.takes_file else " -x"
    return f"{names}{value} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    """Return a text of ours as one word of a shell."""
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"
