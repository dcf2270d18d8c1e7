"""The nouns: what there are a hundred thousand of is small."""

from __future__ import annotations

import sys

from whosin.model import NOTHING_TOLD, Company, Session


def session():
    return Session(1, "s1", Company("s", "A"), "anna", "desktop", 1_000, machine="PC-7", os_session="2")


def test_a_session_takes_no_more_than_192_bytes():
    assert sys.getsizeof(session()) <= 192


def test_those_who_tell_nothing_of_themselves_share_it():
    it = session()
    assert it.told is NOTHING_TOLD
    it.tell(address=None, conn=None)
    assert it.told is NOTHING_TOLD
    it.tell(activity="posting", idle=True)
    assert (it.told.activity, it.told.idle, it.told.conn) == ("posting", True, None)
    assert NOTHING_TOLD.activity is None
    it.tell(activity=None, idle=False)
    assert it.told is NOTHING_TOLD
