"""Every command of the documents is run as it stands there, or it is told why not. None is misspelt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click
import pytest

from tests.docs import arguments, pages
from tests.house import repository
from whosin.cli import main

COMMANDS = pages.commands()
NOT_RUN = [one for one in COMMANDS if one.how == "not run"]
PAGES = pages.documents()


def test_every_block_says_what_it_is():
    languages = {one.language for page in PAGES for one in pages.blocks(page)}
    assert languages <= {*pages.SHELLS, *pages.OTHERS}, "a block's first line names its language"


def test_every_block_of_commands_says_how_it_is_run():
    """The line above it: `<!-- run: daemon -->` and the like, see tests/docs/pages.py."""
    unmarked = [one.place for one in COMMANDS if not one.how]
    assert unmarked == [], "say above each how it is run: tests/docs/pages.py"


def test_what_is_run_elsewhere_is_run_there():
    for one in COMMANDS:
        if one.what == ".ci/run":
            assert one.text.strip() in (repository.ROOT / one.what).read_text(encoding="utf-8")
        elif one.how == "run" and one.what not in pages.PLACES:
            source = (repository.ROOT / one.what).read_text(encoding="utf-8")
            assert f'"{one.page}"' in source, f"{one.place}: {one.what} does not name {one.page}"
            assert "marked(" in source, f"{one.place}: {one.what} does not take its commands from the page"


@pytest.mark.parametrize("one", NOT_RUN, ids=lambda one: one.place)
def test_what_cannot_be_run_here_is_named(one):
    pytest.skip(f"NOT RUN: {one.place}: {one.what}")


def test_it_is_little_that_cannot_be_run_here():
    assert len(NOT_RUN) <= 8


def test_no_command_passes_for_something_that_is_printed():
    typed = re.compile(
        r"^(\$ )?(\S*/)?(whosin|python3?|pip|docker|systemctl|journalctl|mosquitto_\w+|curl) ", re.MULTILINE
    )
    texts = [one for page in PAGES for one in pages.blocks(page) if one.language == "text"]
    assert [one.place for one in texts if typed.search(one.text)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_the_arguments_that_it_takes(page):
    texts = [one.text for one in pages.blocks(page) if one.language in pages.SHELLS] + pages.spans(page)
    found = [arguments.problem(words) for text in texts for words in arguments.simple_commands(text)]
    assert [one for one in found if one is not None] == []


def examples(command: click.Command) -> Iterator[str]:
    """Those of its help, and of its subcommands'."""
    for line in (command.epilog or "").splitlines():
        if line.startswith("  whosin "):
            yield re.split(r"\s{2,}", line.strip())[0]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from examples(command.get_command(context, name))


def test_the_examples_of_the_commands_help_have_the_arguments_that_they_take():
    found = list(examples(main))
    assert len(found) > 50
    wrong = [arguments.problem(words) for line in found for words in arguments.simple_commands(line)]
    assert [one for one in wrong if one is not None] == []


def test_the_commands_that_the_program_advises_have_the_arguments_that_they_take():
    found = [
        span
        for path in repository.files("daemon/whosin/*.py")
        for node in ast.walk(repository.tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for span in re.findall(r"`(whosin [^`]+)`", node.value)
    ]
    assert len(found) > 50
    wrong = [arguments.problem(words) for span in found for words in arguments.simple_commands(span)]
    assert [one for one in wrong if one is not None] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "whosin sesions", "whosin logoff --forse X", "whosin service install|strat", "whosin cleanup of",
        "whosin sessions --limit few", "ls && sudo whosin reload now", "docker exec w whosin operator add a",
        "whosin tokens create NAME --role viewer|oprator", "python -m tests.simulator --sedes 5",
        "python -m tests.nothing", "python -m pytest tests/nothing", "x=$(whosin nothing)",
        "WHOSIN_URL=x whosin show --jsn X", "python examples/nothing.py",
    ],
)  # fmt: skip
def test_a_mistake_is_found(wrong):
    assert any(arguments.problem(words) for words in arguments.simple_commands(wrong))
