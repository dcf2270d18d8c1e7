"""The metrics, as Prometheus or OpenMetrics text. Owns their names, types, labels and help.

Must not know who counts or who asks. Names follow the conventions: base units, `_total`, and no label ever
holds a user or a session; client types that are not configured are labelled `default`.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import whosin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from whosin.observe.counts import Counts, Histogram

DEFAULT = "default"
LIVE = ("active", "disconnected")  # shown even at 0, so that a rule on them always has something to look at
REASONS = ("topic", "size", "encoding", "schema", "retained", "unknown_verb")
CAUSES = ("operator", "cleanup", "replaced", "blocking", "maintenance")
VERBS = ("login", "heartbeat", "logout", "lost", "lock", "unlock")
DOOR = ("closed_slow", "dropped_qos_0", "overflowed_sessions", "paused_for_inbox", "paused_for_rate")
SEVERITIES = ("normal", "critical")
DELIVERED = ("sent", "retried", "given_up")
WHY_GONE = ("silence", "lost", "idle")


_Samples = dict[tuple[str, ...], float]  # values by label values


class Gauges(Protocol):
    """What is now, as opposed to what was counted. Asked at every scrape; answers cheaply and from memory."""

    def sessions(self) -> Mapping[tuple[str, str], int]:
        """How many by status and client type."""
        ...

    def locks(self) -> int: ...

    def followups(self) -> Mapping[str, int]:
        """Open ones by severity."""
        ...

    def inbox_depth(self) -> int:
        """Messages received and not yet looked at."""
        ...

    def store_ok(self) -> bool: ...

    def tasks(self) -> int:
        """Tasks of the event loop."""
        ...

    def broker_connected(self) -> bool | None:
        """Whether the link hears; None without a link."""
        ...

    def door(self) -> tuple[int, Mapping[str, int]] | None:
        """Connections at the door, and what it did to keep its limits, by what; None without a door."""
        ...

    def blind_s(self) -> float:
        """How long the present blindness of each source has lasted, in sum: not in the counts yet."""
        ...

    def cleanup_every_s(self) -> float:
        """From one pass to the next; 0 while the cleanup is off."""
        ...

    def alerts(self) -> Mapping[str, int]:
        """Open alerts by kind, every kind there is."""
        ...

    def undelivered(self) -> int:
        """Messages of alerts that no channel has taken yet."""
        ...

    def channels(self) -> Collection[str]:
        """The names of the channels of alerts."""
        ...

    def seats_used(self) -> Mapping[tuple[str, str], int]:
        """Users at once by site and client type; empty while seats are not counted."""
        ...


class Metrics:
    """Renders counts and gauges. `types` are the configured client types and may be replaced on a reload."""

    def __init__(
        self,
        counts: Counts,
        gauges: Gauges,
        types: Collection[str] = ("desktop", "web"),
        *,
        process: bool = True,
    ) -> None:
        self.types = types
        self._counts = counts
        self._gauges = gauges
        self._blind_s = 0.0  # a counter never goes back, not even while one source regains sight
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Whosin(self))
        if process:
            ProcessCollector(registry=self._registry)

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """The text and its content type, as the Accept header asks: OpenMetrics or Prometheus."""
        encode, content_type = choose_encoder(accept or "")
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Every metric of Whosin, once."""
        yield from self._session_metrics()
        yield from self._message_metrics()
        yield from self._cleanup_metrics()
        yield from self._store_metrics()
        yield from self._sight_metrics()
        yield from self._door_metrics()
        yield self._seats()
        yield from self._alert_metrics()
        about = "Tasks of the event loop; a number that only grows is a leak."
        yield _gauge("tasks", about, (), {(): self._gauges.tasks()})
        info = {"version": whosin.__version__, "python": platform.python_version()}
        yield InfoMetricFamily("whosin_build", "The daemon that is running.", info)

    # --- one group each -------------------------------------------------------------------------------

    def _session_metrics(self) -> Iterator[Metric]:
        counts, types = self._counts, self._all_types()
        now: _Samples = {(status, client): 0 for status in LIVE for client in types}
        for (status, client), number in self._gauges.sessions().items():
            label = (status, self._label(client))
            now[label] = now.get(label, 0) + number
        yield _gauge("sessions", "Sessions now, by status and client type.", ("status", "client"), now)
        gone: _Samples = {(client, why): 0 for client in types for why in WHY_GONE}
        for (client, why), number in dict(counts.disconnected).items():
            label = (self._label(client), why)
            gone[label] = gone.get(label, 0) + number
        about = "Sessions found disconnected."
        yield _counter("sessions_disconnected", about, ("client", "reason"), gone)
        about = "Disconnected sessions that gave a sign of life again: disconnects that were wrong."
        yield _counter("sessions_reconnected", about, ("client",), self._by_type(counts.reconnected))
        about = "Sessions removed, by who or what did it."
        yield _counter("sessions_removed", about, ("cause",), _filled(CAUSES, counts.removed))
        yield _counter("sessions_logged_in", "Logins.", ("client",), self._by_type(counts.logged_in))
        yield _counter("sessions_refused", "Refused logins, by code.", ("code",), _filled((), counts.refused))
        about = "From a session's deadline to its announcement as disconnected."
        yield _histogram("detection_lag_seconds", about, counts.detection_lag)

    def _message_metrics(self) -> Iterator[Metric]:
        counts = self._counts
        yield _counter("heartbeats", "Heartbeats, those in batches included.", (), {(): counts.heartbeats})
        yield _counter("messages", "Messages taken, by verb.", ("verb",), _filled(VERBS, counts.messages))
        about = "Messages dropped because they break the contract, by reason."
        yield _counter("messages_rejected", about, ("reason",), _filled(REASONS, counts.rejected))
        about = "Messages received and not yet looked at."
        yield _gauge("inbox_depth", about, (), {(): self._gauges.inbox_depth()})
        about = "Messages dropped because the inbox was full, by verb."
        yield _counter("inbox_dropped", about, ("verb",), _filled(VERBS, counts.inbox_dropped))
        about = "Answers not sent because the same was said a moment before."
        yield _counter("answers_suppressed", about, (), {(): counts.answers_suppressed})
        yield _counter("events_published", "Events published.", (), {(): counts.events_published})
        yield _gauge("locks", "Locks held now.", (), {(): self._gauges.locks()})
        about = "Follow-ups that are open, by severity."
        left: _Samples = {("open", severity): 0 for severity in SEVERITIES}
        for severity, number in self._gauges.followups().items():
            left["open", severity] = number
        yield _gauge("followups", about, ("state", "severity"), left)
        yield _counter("lock_refusals", "Requests for locks refused.", (), {(): counts.lock_refusals})

    def _cleanup_metrics(self) -> Iterator[Metric]:
        counts = self._counts
        about = "Cleanup passes, by result."
        yield _counter("cleanup_passes", about, ("result",), _filled(("done", "failed"), counts.passes))
        about = "When a pass last ended well; absent until one has."
        last: _Samples = {(): counts.last_pass_s} if counts.last_pass_s else {}
        yield _gauge("cleanup_last_success_timestamp_seconds", about, (), last)
        every_s = self._gauges.cleanup_every_s()
        about = "1 while the cleanup is on, else 0."
        yield _gauge("cleanup_enabled", about, (), {(): int(every_s > 0)})
        about = "From one pass to the next; absent while the cleanup is off."
        yield _gauge("cleanup_interval_seconds", about, (), {(): every_s} if every_s else {})
        yield _histogram("cleanup_duration_seconds", "How long passes take.", counts.pass_seconds)

    def _store_metrics(self) -> Iterator[Metric]:
        counts = self._counts
        yield _histogram("store_commit_seconds", "How long commits take.", counts.commit_seconds)
        about = "Commits that failed and were kept for later."
        yield _counter("store_commit_failures", about, (), {(): counts.commit_failures})
        about = "1 while everything can be made durable, else 0."
        yield _gauge("store_ok", about, (), {(): int(self._gauges.store_ok())})

    def _sight_metrics(self) -> Iterator[Metric]:
        connected = self._gauges.broker_connected()
        about = "1 while the link to the broker hears, else 0; absent without a link."
        yield _gauge("broker_connected", about, (), {} if connected is None else {(): int(connected)})
        self._blind_s = max(self._blind_s, self._counts.blind_ms / 1000 + self._gauges.blind_s())
        about = "How long a source of messages was not heard, in all."
        yield _counter("blind_seconds", about, (), {(): self._blind_s})

    def _door_metrics(self) -> Iterator[Metric]:
        door = self._gauges.door()
        if door is None:
            return
        connections, done = door
        yield _gauge("door_connections", "Connections at the door now.", (), {(): connections})
        about = "Connections, sessions and messages given up at the door and reading held up there, by what."
        yield _counter("door_interventions", about, ("what",), _filled(DOOR, done))

    def _alert_metrics(self) -> Iterator[Metric]:
        counts, open_now = self._counts, self._gauges.alerts()
        about = "Alerts raised, by kind."
        yield _counter("alerts", about, ("kind",), _filled(tuple(open_now), counts.alerts))
        about = "Alerts that are not over, by kind."
        yield _gauge("alerts_open", about, ("kind",), {(kind,): n for kind, n in open_now.items()})
        about = "Messages of alerts that their channel has not taken yet."
        yield _gauge("alerts_undelivered", about, (), {(): self._gauges.undelivered()})
        done: _Samples = {(name, how): 0 for name in self._gauges.channels() for how in DELIVERED}
        done |= {label: number for label, number in dict(counts.deliveries).items()}  # noqa: C416 - for mypy
        about = "Messages of alerts, by channel: taken, refused and to be tried again, given up."
        yield _counter("alert_deliveries", about, ("channel", "result"), done)

    def _seats(self) -> Metric:
        used: _Samples = {}
        for (site, client), number in self._gauges.seats_used().items():
            label = (site, self._label(client))
            used[label] = used.get(label, 0) + number
        return _gauge("seats_used", "Users at once, by site and client type.", ("site", "client"), used)

    # --- labels ---------------------------------------------------------------------------------------

    def _all_types(self) -> list[str]:
        return sorted({DEFAULT, *self.types})

    def _label(self, client: str) -> str:
        return client if client in self.types else DEFAULT

    def _by_type(self, counter: Mapping[str, int]) -> _Samples:
        found: _Samples = {(client,): 0 for client in self._all_types()}
        for client, number in dict(counter).items():
            found[self._label(client),] += number
        return found


class _Whosin(Collector):
    """What the registry wants."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.collect()


def _filled(known: tuple[str, ...], counter: Mapping[str, int]) -> _Samples:
    """One label; what is known beforehand is there from the start, so that a rate sees the first one."""
    return {(label,): number for label, number in {**dict.fromkeys(known, 0), **counter}.items()}


def _gauge(name: str, about: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    return _with(GaugeMetricFamily(f"whosin_{name}", about, labels=labels), samples)


def _counter(name: str, about: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    """`name` without its `_total`."""
    return _with(CounterMetricFamily(f"whosin_{name}", about, labels=labels), samples)


def _with(family: GaugeMetricFamily | CounterMetricFamily, samples: _Samples) -> Metric:
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, about: str, counted: Histogram) -> Metric:
    """Cumulative buckets; read once, so that they agree with each other."""
    total, buckets = 0, []
    bounds = [*(str(float(bound)) for bound in counted.bounds), "+Inf"]
    for bound, number in zip(bounds, tuple(counted.buckets), strict=True):
        total += number
        buckets.append((bound, total))
    family = HistogramMetricFamily(f"whosin_{name}", about)
    family.add_metric([], buckets, counted.sum)
    return family
