"""What will happen, drawn from the seed before anything happens: settings, people, faults, operators' orders.

Owns the drawing. A script is plain data: a list of acts with their moments, any of which can be left out and
the rest still makes sense (that is how a failing one is shrunk). Must not know the daemon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

OPERATORS = ("olga", "oscar")
SITES = ("s1", "s2")
COMPANIES = ("c1", "c2")
RESOURCES = ("a", "a", "a/b", "a/d", "b", "b/c", "*")


class Act(NamedTuple):
    """`args` are of the method of that name, of a person (`who`) or of the stage."""

    at_ms: int
    who: str | None
    what: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        args = ", ".join(map(repr, self.args))
        return f"{self.at_ms / 1000:8.3f} {self.who or '-'}: {self.what}({args})"


@dataclass(frozen=True)
class Who:
    id: str
    site: str
    company: str
    user: str
    client: str
    machine: str | None
    os_session: str | None
    by: str  # "door" or "broker"
    portal: int | None
    every_ms: int
    keep_alive_s: int
    wills: bool
    will_delay_s: int
    numbered: bool
    logs_in_again: bool
    logs_in_by_beat: bool
    expiry_s: int


@dataclass
class Kind:
    timeout_s: float
    heartbeat_every_s: float
    lost_grace_s: float
    idle_limit_s: int = 0
    idle_action: str = "flag"


@dataclass
class Script:
    seed: int
    door: bool
    broker: bool
    kinds: dict[str, Kind]
    settings: dict[str, Any]
    people: dict[str, Who]
    portals: dict[int, tuple[str, str]]  # site, by
    acts: list[Act]
    calm_ms: int  # when faults are over
    end_ms: int
    flags: dict[str, bool] = field(default_factory=dict)


def draw(seed: int) -> Script:
    random = Random(f"{seed}/script")
    door, broker = random.choice(((True, False), (True, False), (False, True), (True, True), (True, True)))
    kinds = _kinds(random)
    longest_s = max(kind.timeout_s for kind in kinds.values())
    slowest_s = max(kind.heartbeat_every_s for kind in kinds.values())
    mass = random.random() < 0.35
    settings = {
        "flush_s": random.choice((1, 3, 5)),
        "tick_s": random.choice((0.2, 0.4, 0.5, 0.5, 0.5)),
        "regain_grace_s": round(slowest_s + random.uniform(4, 9), 3),
        "every_s": random.choice((10, 15, 30)),
        "enabled": random.random() < 0.5,
        "blocking_after_s": random.choice((0, 0, 2)),
        "lock_delay_s": random.choice((0, 3, 15)),
        "min": random.randrange(3, 6) if mass else 1_000,
        "share": random.choice((0.3, 0.5, 0.8)),
        "window_s": random.choice((5, 10)),
        "hold_s": random.choice((20, 40, 3600)),
    }
    fold = random.random() < 0.2
    calm_ms = random.randrange(12_000, 60_000)
    script = Script(seed, door, broker, kinds, settings, {}, {}, [], calm_ms, 0, {"fold": fold, "mass": mass})
    _people(random, script)
    _faults(random, script)
    _orders(random, script)
    _floods(Random(f"{seed}/floods"), script)
    script.acts.sort(key=lambda act: act.at_ms)
    script.end_ms = calm_ms + round((longest_s + settings["regain_grace_s"] + 12) * 1000)
    return script


def _kinds(random: Random) -> dict[str, Kind]:
    kinds = {}
    for name in ("desktop", "web", "default"):
        beat_s = random.choice((2, 3, 4, 5))
        kinds[name] = Kind(
            round(beat_s * random.uniform(2.5, 5), 3), beat_s, round(beat_s * 1.3 + random.uniform(2, 5), 3)
        )
    if random.random() < 0.5:
        name = random.choice(tuple(kinds))
        kinds[name].idle_limit_s = 600
        kinds[name].idle_action = random.choice(("flag", "disconnect", "disconnect"))
    return kinds


def _people(random: Random, script: Script) -> None:
    sources = [name for name, there in (("door", script.door), ("broker", script.broker)) if there]
    sites = ["s1"] if random.random() < 0.6 else ["s1", "s2"]
    companies = ["c1", "c2"] if random.random() < 0.6 else ["c1"]
    if random.random() < 0.3:
        script.portals[1] = (sites[0], random.choice(sources))
    count = random.randrange(4, 16)
    desks: list[Who] = []
    for number in range(count):
        portal = 1 if script.portals and random.random() < 0.4 else None
        site, by = script.portals[1] if portal else (random.choice(sites), random.choice(sources))
        client = "web" if portal else random.choice(("desktop", "desktop", "web", "api"))
        kind = script.kinds.get(client) or script.kinds["default"]
        who = Who(
            f"p{number}", site, random.choice(companies), f"u{number % 7}", client,
            random.choice((None, f"PC{number}", f"PC{number}")), random.choice((None, str(number))),
            by, portal, round(kind.heartbeat_every_s * 1000), random.choice((8, 12, 20)),
            random.random() < 0.5, random.choice((0, 0, 2)), random.random() < 0.7, random.random() < 0.5,
            random.random() < 0.3, random.choice((0, 0, 30)),
        )  # fmt: skip
        if who.portal:
            who = _with(who, wills=False, numbered=False)
        script.people[who.id] = who
        desks.append(who)
        _life(random, script, who, 0 if script.flags["mass"] else random.randrange(0, script.calm_ms // 2))
    if script.flags["mass"] and random.random() < 0.7:  # a whole office falls silent
        at = random.randrange(script.calm_ms // 3, script.calm_ms)
        for who in desks:
            if random.random() < 0.8:
                script.acts.append(
                    Act(
                        at + random.randrange(3_000), who.id, "crash", (random.choice(("vanished", "reset")),)
                    )
                )


def _timeout_ms(script: Script, who: Who) -> int:
    return round((script.kinds.get(who.client) or script.kinds["default"]).timeout_s * 1000)


def _with(who: Who, **changes: Any) -> Who:
    return Who(**{**who.__dict__, **changes})


def _life(random: Random, script: Script, who: Who, begins_ms: int) -> None:
    acts, calm = script.acts, script.calm_ms
    arrives = 200 + begins_ms + random.randrange(4_000)
    acts.append(Act(arrives, who.id, "arrive"))
    last = min(calm - 1, arrives + random.randrange(5_000, 60_000))

    def moment() -> int:
        return random.randrange(arrives + 500, max(last, arrives + 1_000))

    for _ in range(random.choice((0, 1, 2, 4))):
        at = moment()
        resource = random.choice(RESOURCES)
        lock = (
            resource, random.choice(("exclusive", "exclusive", "shared")),
            random.choice((0, 0, 3, 10, 60)), random.random() < 0.15,
        )  # fmt: skip
        acts.append(Act(at, who.id, "lock", lock))
        if random.random() < 0.5:
            later = min(calm, at + random.randrange(200, 20_000))
            acts.append(
                Act(later, who.id, "unlock", (resource, random.choice(("right", "right", "none", "old"))))
            )
    tricks = (
        ("path", lambda: ("cut", 0)),
        ("path", lambda: ("moved", 0)),
        ("garbage", tuple),
        ("path", lambda: ("half-open", random.randrange(1_000, 25_000))),
        ("path", lambda: ("slow", random.randrange(200, 8_000))),
        ("hush", lambda: (random.randrange(1_000, 40_000),)),
        ("brink", lambda: (_timeout_ms(script, who), random.randrange(-60, 200))),
        ("brink", lambda: (_timeout_ms(script, who), random.randrange(0, 60))),
        ("brink", lambda: (_timeout_ms(script, who), random.randrange(0, 200))),
        ("again", tuple), ("again", tuple), ("late_will", tuple), ("retained", tuple), ("impostor", tuple),
        ("elsewhere", tuple), ("idle", lambda: (random.choice((0, 599, 600, 5_000, None)),)),
        ("idle", lambda: (random.choice((0, 600)),)),
    )  # fmt: skip
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        what, draws = random.choice(tricks)
        at, args = moment(), draws()
        if what == "hush":  # so that whoever lives beats again when all comes to rest
            args = (min(args[0], max(1_000, calm - at)),)
        acts.append(Act(at, who.id, what, args))
    fate = random.random()
    if fate < 0.45:
        acts.append(Act(last, who.id, "crash", (random.choice(("reset", "closed", "vanished")),)))
        if random.random() < 0.5:
            again = f"{who.id}.2"
            script.people[again] = _with(who, id=again)
            back = last + random.randrange(500, 40_000)
            if back < calm:
                acts.append(Act(back, again, "arrive"))
            else:
                del script.people[again]
        if random.random() < 0.4:
            acts.append(Act(min(calm, last + random.randrange(1_000, 60_000)), who.id, "again"))
    elif fate < 0.65:
        acts.append(Act(last, who.id, "logout"))
        acts.append(Act(last + random.randrange(100, 5_000), who.id, "go"))
        if random.random() < 0.5:
            acts.append(Act(min(calm, last + random.randrange(1_000, 60_000)), who.id, "again"))


def _faults(random: Random, script: Script) -> None:
    acts, calm = script.acts, script.calm_ms
    if random.random() < 0.12:
        return  # nothing goes wrong: then everything has to be exact
    kinds: list[tuple[str, Any]] = [
        *[("kill", lambda: _kill(random))] * 4,
        ("stop", lambda: (random.randrange(200, 15_000),)),
        ("stall", lambda: (random.choice((random.randrange(100, 3_000), random.randrange(1_000, 60_000))),)),
        ("suspend", lambda: (random.randrange(500, 90_000),)),
        ("wall_step", lambda: (random.choice((-3_600_000, -45_000, -2_000, 2_000, 45_000, 3_600_000)),)),
        ("disk_fails", lambda: (
            random.choice(("full", "read_only", "locked", "io", "io")), random.random() < 0.4,
            random.choice((0.0, 0.5)), random.randrange(200, 30_000))),
        ("disk_hangs", lambda: (random.randrange(500, 20_000),)),
        ("disk_slow", lambda: (random.randrange(50, 1_500), random.randrange(2_000, 40_000))),
        ("cut_all", tuple),
    ]  # fmt: skip
    if script.broker:
        kinds += [
            ("broker_dies", lambda: (random.random() < 0.4, random.randrange(300, 30_000))),
            ("broker_dies", lambda: (random.random() < 0.4, random.randrange(300, 30_000))),
            ("broker_hangs", lambda: (random.randrange(500, 30_000),)),
            ("broker_slow", lambda: (random.randrange(50, 2_500), random.randrange(2_000, 40_000))),
            ("link_cut", tuple),
            ("link_gone", lambda: (random.randrange(500, 30_000),)),
            ("link_held", lambda: (random.randrange(500, 15_000),)),
        ]
    for _ in range(random.choice((1, 2, 3, 5))):
        if script.broker and random.random() < 0.1:  # what left is not acknowledged when we die
            at = random.randrange(2_000, calm)
            acts.append(Act(at, None, "broker_hangs", (min(8_000, max(10, calm - at)),)))
            dies = min(calm - 600, at + random.randrange(200, 6_000))
            acts.append(Act(dies, None, "kill", (0, True, "before", 0, 500)))
            continue
        what, draws = random.choice(kinds)
        at, args = random.randrange(2_000, calm), draws()
        if args and what != "wall_step":  # the last is how long it lasts: not into the calm
            args = (*args[:-1], min(args[-1], max(10, calm - at)))
        acts.append(Act(at, None, what, args))


def _floods(random: Random, script: Script) -> None:
    """Somebody at the door sends far more than its connection may, and the rest of its life behind that."""
    people = [who for who in script.people.values() if who.by == "door"]
    if not people or random.random() > 0.15:
        return
    script.settings["messages_per_s"] = 1_000  # of a gateway, as all are without sign-in: 5,000
    grace_ms = round(script.settings["regain_grace_s"] * 1000)
    for who in random.sample(people, min(len(people), random.choice((1, 1, 2)))):
        pings = random.randrange(15_000, 70_000)
        lasts_ms = pings // 5
        if script.calm_ms - lasts_ms > 3_000:
            at = random.randrange(2_000, script.calm_ms - lasts_ms)
            script.acts.append(Act(at, who.id, "flood", (pings, grace_ms)))


def _kill(random: Random) -> tuple[Any, ...]:
    callbacks = random.choice((0, 0, 1, 2, 3, 5, 8))
    down = random.choice((random.randrange(10, 2_000), random.randrange(500, 40_000)))
    commits = random.choice((0, 0, 0, 1, 1, 2, 3))  # at a commit from then on
    when = random.choice(("before", "before", "inside", "inside", "after"))
    return callbacks, random.random() < 0.5, when, commits, down


def _orders(random: Random, script: Script) -> None:
    acts, calm = script.acts, script.calm_ms
    names = list(script.people)
    for _ in range(random.choice((0, 1, 3, 5))):
        at = random.randrange(2_000, calm)
        by = random.choice(OPERATORS)
        ids = tuple(random.sample(names, min(len(names), random.randrange(1, 5)))) + (
            ("nobody",) if random.random() < 0.1 else ()
        )
        what, args = random.choice((
            ("logoff", (ids, random.random() < 0.4, False)),
            ("logoff", (ids, random.random() < 0.4, False)),
            ("logoff", (ids, True, True)),
            ("look", (ids,)),
            ("look", (ids,)),
            ("free_lock", (random.choice(SITES), random.choice(COMPANIES), random.choice(RESOURCES))),
            ("switch", (random.random() < 0.6,)),
            ("clean", (random.random() < 0.3,)),
            ("clean", (False,)),
            ("confirm", ("s1", random.choice((None, "c1")), random.choice((None, "desktop")))),
            ("reload", (random.choice(("every_s", "lock_delay_s", "tick_s", "timeout_s", "flush_s")),
                        random.choice((0.5, 0.75, 1.5)))),
        ))  # fmt: skip
        acts.append(Act(at, None, what, (by, *args)))
