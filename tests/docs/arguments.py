"""Whether the arguments of commands in the documents are right, without running them.

Owns how a line of shell falls into commands, and what stands for something else (NAME, ID..., `a|b`,
[--option]).
`whosin` is judged by its own parser; of `python -m` the module has to be there, and know the options.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile, product
from pathlib import Path

import click

from tests.house import repository
from whosin.cli import main

OPERATORS = {";", "&", "&&", "|", "||", "(", ")", "{", "}", "!", ">", ">>", "<", "2>"}
BEFORE = ({"sudo"}, {"do", "then", "if", "until", "while", "else", "exec"})
_HEREDOC = re.compile(r"<<'?(\w+)'?\n.*?^\1$", re.MULTILINE | re.DOTALL)
_ALTERNATIVES = re.compile(r"(?<=[\w.])\|(?=[\w.])")
_STANDS_FOR = re.compile(r"[A-Z][A-Z_0-9]*|…|<[^>]+>|\$.*")
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


def simple_commands(text: str) -> Iterator[list[str]]:
    """The words of each command in a piece of shell; those in `$(...)` too."""
    text = _HEREDOC.sub("", text).replace("\\\n", " ").replace("^\n", " ")
    for line in text.splitlines():
        for inner in re.findall(r"\$\(([^()]*)\)", line):
            yield from simple_commands(inner)
        yield from _of_line(line)


def _of_line(line: str) -> Iterator[list[str]]:
    line = _ALTERNATIVES.sub("\0", line.replace("\\", "/"))
    try:
        reader = shlex.shlex(line, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        words = [word.replace("\0", "|") for word in reader]
    except ValueError:  # a quote that is another line's
        words = line.replace("\0", "|").split()
    so_far: list[str] = []
    for word in [*words, ";"]:
        if word not in OPERATORS:
            so_far.append(word)
            continue
        if so_far := _without_what_is_before(so_far):
            yield so_far
        so_far = []


def _without_what_is_before(words: list[str]) -> list[str]:
    while words and (words[0] in set.union(*BEFORE) or _ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    if words[:2] == ["docker", "exec"]:
        words = list(dropwhile(lambda word: word.startswith("-"), words[2:]))[1:]
    return words


def problem(words: list[str]) -> str | None:
    """What is wrong with a command, as far as that can be told; None for programs that are not ours."""
    program = Path(words[0]).name.removesuffix(".exe")
    if program == "whosin":
        return _of_whosin(words[1:])
    if program.startswith("python") and words[1:2] == ["-m"] and len(words) > 2:
        return _of_module(words[2], words[3:])
    if program.startswith("python") and words[1:2] and words[1].endswith(".py"):
        return None if (repository.ROOT / words[1]).exists() else f"there is no {words[1]}"
    return None


# --- whosin ---------------------------------------------------------------------------------------


def _of_whosin(words: list[str]) -> str | None:
    """Each way to read it: of `a|b` and [what may be left out]."""
    words = [word for word in words if word not in {"...", "…"}]
    plain = [re.sub(r"^\[+|(\.\.\.|…)?\]*(\.\.\.|…)?$", "", word) for word in words]
    for choice in product(
        *(word.split("|") if re.fullmatch(r"[\w.|-]+", word) else [word] for word in plain)
    ):
        if found := _of_one(list(choice)):
            return f"whosin {' '.join(choice)}: {found}"
    return None


def _of_one(words: list[str]) -> str | None:
    try:
        _parse(words)
    except click.MissingParameter as error:
        return error.format_message() if any(word.startswith("-") for word in words) else None
    except click.BadParameter as error:
        said = error.format_message()
        open_ended = any(repr(word) in said for word in words if _STANDS_FOR.search(word))
        of_a_file = isinstance(error.param and error.param.type, click.Path)
        return None if open_ended or of_a_file else said
    except click.UsageError as error:
        return error.format_message() or "not enough said"
    except click.exceptions.Exit:  # --version, --help
        return None
    return None


def _parse(words: list[str]) -> None:
    """Raises what click raises, down to the last subcommand; nothing is run."""
    command: click.Command | None = main
    context: click.Context | None = None
    name: str | None = "whosin"
    while command is not None:
        if isinstance(command, click.Group) and not words and command.no_args_is_help:
            return  # the command is only named
        context = command.make_context(name, list(words), parent=context)
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, words = command.resolve_command(context, rest)


# --- python -m ------------------------------------------------------------------------------------


def _of_module(module: str, words: list[str]) -> str | None:
    if module in {"pip", "venv", "hatchling"}:
        return None
    if module == "pytest":
        lost = [
            word for word in words if "/" in word and not (repository.ROOT / word.split("::")[0]).exists()
        ]
        return f"there is no {lost[0]}" if lost else None
    folder = repository.DAEMON if module.startswith("whosin") else repository.ROOT
    place = folder.joinpath(*module.split("."))
    files = [place.with_suffix(".py")] if place.with_suffix(".py").exists() else list(place.glob("*.py"))
    if not files:
        return f"there is no module {module}"
    known = "\n".join(path.read_text(encoding="utf-8") for path in files)
    options = [word for word in words if re.fullmatch(r"--[a-z-]+", word) and word != "--help"]
    unknown = [option for option in options if f'"{option}"' not in known]
    return f"{module} has no option {unknown[0]}" if unknown else None
