"""One flood's stage: the installed daemon, well-behaved neighbours, and what is watched.

Owns starting and ending them, and the judgement that is the same for every flood: memory within the bound
that the scenario states, no neighbour cut off or taken for silent, their answers' times. Must not know what
the flood does; it counts what it sent and says what must come of it.
"""

from __future__ import annotations

import contextlib
import re
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.floods.neighbours import Heard, Neighbours
from tests.support.daemon import Daemon, until
from tests.support.lines import Account
from tests.support.ports import free_port

MB = 1024 * 1024
PATIENCE_S = 2.0  # neighbours' p99 at most, on a machine of one's own
SITE = "s1"

SETTINGS = """
[daemon]
name = "test"
data_dir = "{data}"

[mqtt]
{mqtt}

[http]
listen = "127.0.0.1:{http_port}"

[client_types.desktop]  # the neighbours'
timeout_s = 8
heartbeat_every_s = 2
lost_grace_s = 3

[client_types.web]  # the crowd's
timeout_s = 600
heartbeat_every_s = 60
lost_grace_s = 300

[watch]
regain_grace_s = 1

{more}
"""


@dataclass
class Scenario:
    """`bound_mb` is what the resident memory may grow by, and `why` states the sum it comes from."""

    name: str
    about: str
    act: Callable[[Stage], None]
    bound_mb: float
    why: str
    sign_in: bool = True
    newcomers: bool = True
    """Whether neighbours log out and come again meanwhile; not where the flood takes all the room."""
    settings: str = ""


@dataclass
class Stage:
    """What a scenario works with. `scale` shrinks it; `seed` is for what is drawn."""

    daemon: Daemon
    port: int
    scale: float
    seed: int
    accounts: dict[str, Account]
    before: Mapping[str, float]
    facts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def many(self, count: int, least: int = 10) -> int:
        return max(least, int(count * self.scale))

    def account(self, role: str) -> Account | None:
        """None where sign-in is off."""
        return self.accounts.get(role)

    def tell(self, fact: str) -> None:
        self.facts.append(fact)

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)

    def counted(self, name: str, **labels: str) -> int:
        """By how much a counter has grown since the flood began; the sum over labels that are not given."""
        now = metrics(self.daemon)
        return round(_sum(now, name, labels) - _sum(self.before, name, labels))

    def by(self, name: str, label: str) -> dict[str, int]:
        """The same for each value of a label; what did not grow is left out."""
        now = metrics(self.daemon)
        values = {
            found[1]
            for key in now
            if key.startswith(name) and (found := re.search(label + r'="([^"]*)"', key))
        }
        grown = {
            value: round(_sum(now, name, {label: value}) - _sum(self.before, name, {label: value}))
            for value in values
        }
        return {value: count for value, count in sorted(grown.items()) if count}

    def settled(self, what: Callable[[], object], limit_s: float = 60.0) -> bool:
        """Wait for it; whether it came."""
        with contextlib.suppress(AssertionError):
            until(what, limit_s)
            return True
        return False


def metrics(daemon: Daemon) -> dict[str, float]:
    text = daemon.get("/metrics", token=None)[1]
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("whosin_")]
    return {name: float(value) for name, _, value in lines}


def _sum(found: Mapping[str, float], name: str, labels: Mapping[str, str]) -> float:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for key, value in found.items()
        if key.partition("{")[0] == name and all(one in key for one in wanted)
    )


class Memory:
    """Looks at the resident memory of a process twenty times a second."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.first = self.most = self.last = self.now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def now(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+)", self._status.read_text())
        return int(found[1]) * 1024 if found else 0

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            with contextlib.suppress(OSError):
                self.most = max(self.most, self.now())

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self.last = self.now()


@dataclass
class Result:
    scenario: Scenario
    took_s: float
    memory: tuple[int, int, int]
    heard: Heard
    facts: list[str]
    faults: list[str]

    @property
    def passed(self) -> bool:
        return not self.faults

    def lines(self) -> Iterator[str]:
        before, most, after = (value / MB for value in self.memory)
        yield f"{self.scenario.name}: {self.scenario.about}"
        yield from (f"    {fact}" for fact in self.facts)
        yield (
            f"    memory {before:.0f} MB, at most {most:.0f} MB, afterwards {after:.0f} MB; "
            f"grew by {most - before:.1f} MB of {self.scenario.bound_mb:.0f} MB ({self.scenario.why})"
        )
        yield from (f"    {line}" for line in self.heard.lines())
        yield from (f"    FAILED: {fault}" for fault in self.faults)
        yield f"    {'passed' if self.passed else 'FAILED'} in {self.took_s:.1f} s"


def play(scenario: Scenario, scale: float, seed: int) -> Result:
    """Start everything, let the flood come, end everything, judge."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port = free_port()
        mqtt = f'listen = "127.0.0.1:{port}"\nsign_in = "{"on" if scenario.sign_in else "off"}"'
        daemon = Daemon(Path(folder), mqtt, scenario.settings, settings=SETTINGS).start()
        stack.callback(daemon.stop)
        accounts = _accounts(daemon) if scenario.sign_in else {}
        neighbours = Neighbours(
            port, daemon.http_port, daemon.token, accounts.get("client"), scenario.newcomers
        )
        stack.callback(neighbours.end)
        neighbours.settle_in()
        stage = Stage(daemon, port, scale, seed, accounts, metrics(daemon))
        memory = Memory(daemon.pid)
        stack.callback(memory.stop)
        try:
            scenario.act(stage)
        except (OSError, AssertionError, TimeoutError) as error:
            stage.faults.append(f"the flood itself: {error!r}")
        heard = neighbours.end()
        memory.stop()
        _judge(scenario, stage, memory, heard)
        return Result(
            scenario, time.monotonic() - begun, (memory.first, memory.most, memory.last), heard, stage.facts,
            stage.faults,
        )  # fmt: skip


def _accounts(daemon: Daemon) -> dict[str, Account]:
    found = {}
    for role in ("client", "gateway", "observer"):
        password = daemon.whosin("clients", "add", f"a-{role}", "--role", role, "--site", SITE).strip()
        found[role] = (f"a-{role}", password)
    return found


def _judge(scenario: Scenario, stage: Stage, memory: Memory, heard: Heard) -> None:
    process = stage.daemon.process
    if process is None or process.poll() is not None:
        stage.faults.append("the daemon is gone")
        return
    grown = (memory.most - memory.first) / MB
    stage.check(
        grown <= scenario.bound_mb, f"memory grew by {grown:.0f} MB, more than {scenario.bound_mb:.0f}"
    )
    stage.check(not heard.lost, f"neighbours were cut off: {heard.lost[:3]}")
    silent = stage.counted("whosin_sessions_disconnected_total", client="desktop")
    stage.check(not silent, f"{silent} neighbours were taken for silent")
    worst, most = heard.p99_s, PATIENCE_S * heard.slowness
    stage.check(worst <= most, f"neighbours' answers took {worst:.2f} s (p99), more than {most:.1f} s")
    said = re.findall(r'.*"engine\.bug".*|.*Traceback.*', stage.daemon.log.read_text(errors="replace"))
    stage.check(not said, f"the log tells of a bug: {said[:1]}")
