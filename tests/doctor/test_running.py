"""What the daemon says of itself, and what it means that it says nothing."""

from __future__ import annotations

import pytest

from whosin import __version__
from whosin.apiclient import ApiRefused, Unreachable
from whosin.doctor import database, running
from whosin.store import SqliteStore

WELL = {
    "version": __version__, "ready": True, "problems": [], "storage": {"ok": True, "problem": None},
    "cleanup": {"enabled": False},
}  # fmt: skip


class Api:
    """Answers all questions alike."""

    url = "http://127.0.0.1:8787"

    def __init__(self, answer):
        self._answer = answer

    def get(self, _path):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (WELL, "ok", f"Whosin {__version__} is ready"),
        ({**WELL, "version": "0.0.9"}, "problem", f"it is Whosin 0.0.9, and this program is {__version__}"),
        ({**WELL, "ready": False, "problems": ["link: blind"]}, "problem", "not ready: link: blind"),
        (Unreachable("nobody there"), "warning", "it does not run"),
        (ApiRefused(401, "Unauthorized", "the token is wrong"), "warning", "does not know this user"),
        (ApiRefused(403, "Forbidden", "not this site"), "problem", "not this site"),
    ],
    ids=["well", "another version", "not ready", "away", "wrong token", "refused"],
)
def test_its_answer_is_told_with_what_to_do(patient, look, answer, level, words):
    found = look(running.check(patient(api=Api(answer)))).of("daemon")
    assert found[0][0] == level
    assert words in found[0][1]
    assert bool(found[0][2]) == (level != "ok")


def test_without_an_api_it_says_why_it_cannot_be_asked(patient, look):
    ((level, said, _),) = look(running.check(patient('[http]\nlisten = "off"\n'))).of("daemon")
    assert (level, said.startswith("http.listen is off")) == ("warning", True)


async def test_storage_in_trouble_is_told_in_the_daemons_words(patient, look):
    trouble = "no space left for it; free some and it goes on by itself"
    one = patient(api=Api({**WELL, "storage": {"ok": False, "problem": trouble}}))
    store = SqliteStore(one.database)
    await store.open()
    ((level, said, _),) = look(database.check(one)).of("database")
    await store.close()
    assert (level, said) == ("problem", trouble)
