"""The metrics have the names, types and labels that others build on."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

import whosin
from whosin.observe.counts import Counts
from whosin.observe.metrics import Metrics

PROMISED = {
    "whosin_sessions": ("gauge", {"status", "client"}),
    "whosin_heartbeats_total": ("counter", set()),
    "whosin_messages_total": ("counter", {"verb"}),
    "whosin_messages_rejected_total": ("counter", {"reason"}),
    "whosin_sessions_disconnected_total": ("counter", {"client", "reason"}),
    "whosin_sessions_reconnected_total": ("counter", {"client"}),
    "whosin_sessions_removed_total": ("counter", {"cause"}),
    "whosin_detection_lag_seconds": ("histogram", set()),
    "whosin_cleanup_passes_total": ("counter", {"result"}),
    "whosin_cleanup_last_success_timestamp_seconds": ("gauge", set()),
    "whosin_cleanup_duration_seconds": ("histogram", set()),
    "whosin_locks": ("gauge", set()),
    "whosin_lock_refusals_total": ("counter", set()),
    "whosin_store_commit_seconds": ("histogram", set()),
    "whosin_store_ok": ("gauge", set()),
    "whosin_broker_connected": ("gauge", set()),
    "whosin_blind_seconds_total": ("counter", set()),
    "whosin_inbox_depth": ("gauge", set()),
    "whosin_inbox_dropped_total": ("counter", {"verb"}),
    "whosin_seats_used": ("gauge", {"site", "client"}),
    "whosin_build_info": ("gauge", {"version", "python"}),
}
ADDED = {
    "whosin_cleanup_enabled": ("gauge", set()),
    "whosin_cleanup_interval_seconds": ("gauge", set()),
    "whosin_alerts_total": ("counter", {"kind"}),
    "whosin_alerts_open": ("gauge", {"kind"}),
    "whosin_alerts_undelivered": ("gauge", set()),
    "whosin_alert_deliveries_total": ("counter", {"channel", "result"}),
    "whosin_sessions_logged_in_total": ("counter", {"client"}),
    "whosin_sessions_refused_total": ("counter", {"code"}),
    "whosin_store_commit_failures_total": ("counter", set()),
    "whosin_answers_suppressed_total": ("counter", set()),
    "whosin_events_published_total": ("counter", set()),
    "whosin_followups": ("gauge", {"state", "severity"}),
    "whosin_tasks": ("gauge", set()),
    "whosin_door_connections": ("gauge", set()),
    "whosin_door_interventions_total": ("counter", {"what"}),
}


class Gauges:
    """Everything is there."""

    connected: bool | None = True
    at_door: tuple[int, dict[str, int]] | None = 9, {"closed_slow": 2}
    blind = 0.0

    def sessions(self):
        return {
            ("active", "desktop"): 3,
            ("active", "kiosk"): 2,
            ("active", "other"): 1,
            ("disconnected", "web"): 4,
        }

    def locks(self):
        return 7

    def followups(self):
        return {"critical": 2}

    def inbox_depth(self):
        return 5

    def store_ok(self):
        return True

    def tasks(self):
        return 6

    def broker_connected(self):
        return self.connected

    def door(self):
        return self.at_door

    def blind_s(self):
        return self.blind

    def cleanup_every_s(self):
        return 1800.0

    def alerts(self):
        return {"blocking": 2, "storage": 0}

    def undelivered(self):
        return 3

    def channels(self):
        return ["office"]

    def seats_used(self):
        return {("north", "desktop"): 2, ("north", "kiosk"): 1}


@pytest.fixture
def counts():
    counts = Counts(heartbeats=12, lock_refusals=3, last_pass_s=1_700_000_000.5, blind_ms=1500)
    counts.refused["conflict"] = 1
    counts.rejected["size"] = 2
    counts.disconnected["desktop", "silence"] = 4
    counts.disconnected["kiosk", "lost"] = 1
    counts.reconnected["kiosk"] = 1
    counts.alerts["blocking"] = 5
    counts.deliveries["office", "sent"] = 4
    counts.detection_lag.observe(0.3)
    counts.detection_lag.observe(1000)
    return counts


@pytest.fixture
def gauges():
    return Gauges()


@pytest.fixture
def metrics(counts, gauges):
    return Metrics(counts, gauges, ("desktop", "web"), process=False)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.render("")[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"whosin_{name}", tuple(sorted(labels.items()))))


def test_names_types_and_labels_are_the_promised_ones(metrics):
    text = metrics.render("")[0].decode()
    found = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            found[name] = (kind, set())
    for family in parse(text):
        for sample in family.samples:
            name = sample.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            found[name if name in found else sample.name][1].update(set(sample.labels) - {"le"})
    assert found == {**PROMISED, **ADDED}


def test_values_are_those_that_were_counted(metrics):
    assert value(metrics, "heartbeats_total") == 12
    assert value(metrics, "messages_rejected_total", reason="size") == 2
    assert value(metrics, "messages_rejected_total", reason="topic") == 0
    assert value(metrics, "sessions_disconnected_total", client="desktop", reason="silence") == 4
    assert value(metrics, "sessions", status="active", client="desktop") == 3
    assert value(metrics, "sessions", status="disconnected", client="desktop") == 0
    assert value(metrics, "cleanup_last_success_timestamp_seconds") == 1_700_000_000.5
    assert (value(metrics, "locks"), value(metrics, "inbox_depth"), value(metrics, "store_ok")) == (7, 5, 1)
    assert value(metrics, "seats_used", site="north", client="default") == 1
    assert value(metrics, "tasks") == 6
    assert value(metrics, "followups", state="open", severity="critical") == 2
    assert value(metrics, "followups", state="open", severity="normal") == 0


def test_types_that_are_not_configured_are_one_label(metrics):
    assert value(metrics, "sessions", status="active", client="default") == 3
    assert value(metrics, "sessions_disconnected_total", client="default", reason="lost") == 1
    assert value(metrics, "sessions_reconnected_total", client="default") == 1
    assert value(metrics, "sessions", status="active", client="kiosk") is None


def test_after_a_reload_they_may_be_configured(metrics):
    metrics.types = ("desktop", "kiosk", "web")
    assert value(metrics, "sessions", status="active", client="kiosk") == 2
    assert value(metrics, "sessions", status="active", client="default") == 1


def test_buckets_are_cumulative(metrics):
    assert value(metrics, "detection_lag_seconds_bucket", le="0.25") == 0
    assert value(metrics, "detection_lag_seconds_bucket", le="0.5") == 1
    assert value(metrics, "detection_lag_seconds_bucket", le="600.0") == 1
    assert value(metrics, "detection_lag_seconds_bucket", le="+Inf") == 2
    assert value(metrics, "detection_lag_seconds_count") == 2
    assert value(metrics, "detection_lag_seconds_sum") == 1000.3


@pytest.mark.parametrize(("connected", "shown"), [(True, 1), (False, 0), (None, None)])
def test_without_a_link_there_is_no_broker_to_be_connected_to(metrics, gauges, connected, shown):
    gauges.connected = connected
    assert value(metrics, "broker_connected") == shown


def test_what_the_door_gave_up_is_told_by_what(metrics, gauges):
    assert value(metrics, "door_connections") == 9
    assert value(metrics, "door_interventions_total", what="closed_slow") == 2
    assert value(metrics, "door_interventions_total", what="dropped_qos_0") == 0
    gauges.at_door = None
    assert value(metrics, "door_connections") is None
    assert value(metrics, "door_interventions_total", what="closed_slow") is None


def test_no_success_is_claimed_before_there_was_one(counts, gauges):
    counts.last_pass_s = 0
    assert value(Metrics(counts, gauges, process=False), "cleanup_last_success_timestamp_seconds") is None


def test_the_present_blindness_counts_and_the_sum_never_goes_back(metrics, gauges, counts):
    gauges.blind = 2.0
    assert value(metrics, "blind_seconds_total") == 3.5
    gauges.blind = 0.0
    assert value(metrics, "blind_seconds_total") == 3.5
    counts.blind_ms = 4000
    assert value(metrics, "blind_seconds_total") == 4


def test_the_build_is_told(metrics):
    assert any(
        name == "whosin_build_info" and ("version", whosin.__version__) in labels
        for name, labels in samples(metrics)
    )


def test_the_accept_header_chooses_the_format(metrics):
    text, content_type = metrics.render("text/html, */*;q=0.1")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert not text.endswith(b"# EOF\n")
    text, content_type = metrics.render("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "whosin_sessions" in {family.name for family in parse_open(text.decode())}
    assert metrics.render(None)[1].startswith("text/plain")


def test_nothing_is_labelled_by_user_or_session(metrics):
    labels = {label for _, pairs in samples(metrics) for label, _ in pairs}
    assert labels == {
        "status",
        "kind",
        "channel",
        "client",
        "verb",
        "reason",
        "cause",
        "result",
        "code",
        "site",
        "le",
        "version",
        "python",
        "what",
        "state",
        "severity",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_process_is_there_if_wanted(counts, gauges):
    assert b"\nprocess_cpu_seconds_total " in Metrics(counts, gauges).render("")[0]


def test_promtool_finds_no_fault(metrics):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian has it in the package prometheus): METRICS NOT LINTED")
    text = metrics.render("")[0]
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_rendering_warns_of_nothing(metrics):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.render("")
