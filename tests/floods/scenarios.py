"""The floods by name, each with the bound of memory that it is held to, and the sum that this comes from."""

from __future__ import annotations

from tests.floods import crowds
from tests.floods.conversations import malformed
from tests.floods.locks import locks
from tests.floods.stage import Scenario
from tests.floods.tricks import tricks
from tests.floods.web import web

_ALL = [
    Scenario(
        "connections", "2,000 connections, 250 that say nothing and 250 that do not read", crowds.connections,
        190, "2,000 x 30 KB, and 250 x (256 KB queued + 256 KB written)",
    ),
    Scenario(
        "storm", "2,000 lose their connections and come back in the same moment, three times", crowds.storm,
        150, "2 x 2,000 connections and sessions x 37 KB",
    ),
    Scenario(
        "torrent", "one client sends as fast as it can, without a limit", crowds.torrent,
        60, "50,000 messages in the inbox x 0.5 KB, what waits for a commit as much", sign_in=False,
    ),
    Scenario(
        "limited", "one client sends as fast as it can, where clients have a rate", crowds.limited,
        20, "nothing is kept",
    ),
    Scenario(
        "strangers", "8 KiB logins by the ten thousand, all with new ids", crowds.strangers,
        150, "3,000 sessions x 3 KB, 10 x 1,000 in flight x 9 KB, 30,000 unknown ids x 1 KB",
        settings="[limits]\nsessions = 3000", newcomers=False,
    ),
    Scenario(
        "observers", "500 observers follow everything and do not read", crowds.observers,
        150, "128 MB for all queues together, as the door counts",
    ),
    Scenario(
        "tricks", "retained, wildcards, aliases, sizes, windows, foreign topics", tricks,
        20, "nothing is kept",
    ),
    Scenario(
        "malformed", "conversations drawn by Hypothesis, with the door and with Mosquitto", malformed,
        20, "nothing is kept", sign_in=False,
    ),
    Scenario(
        "locks", "locks by the ten thousand, queues, circles, deep paths", locks,
        120, "10,000 locks and 5,000 waiters x 17 levels x 0.4 KB",
    ),
    Scenario(
        "web", "requests that never end, heads and bodies too large, listeners that do not read", web,
        80, "90 listeners x (256 KB + 1,000 events), 64 bodies x 1 MB", sign_in=False,
    ),
]  # fmt: skip

SCENARIOS = {one.name: one for one in _ALL}
