"""The dashboard and the rules for Prometheus: valid, tested, and about metrics that the daemon really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.observe.test_metrics import ADDED, PROMISED
from tests.support.daemon import Daemon
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prometheus/whosin.rules.yml"
RULE_TESTS = ROOT / "config/prometheus/whosin.rules.test.yml"
CONFIG = ROOT / "config/prometheus/prometheus.yml"
DASHBOARD = json.loads((ROOT / "config/grafana/whosin.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/dashboards.md").read_text(encoding="utf-8")
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    *((panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]),
    *(("annotation " + it["name"], it["expr"]) for it in DASHBOARD["annotations"]["list"]),
]
NOT_OURS = {"up"}  # Prometheus makes it
NAME = re.compile(r"\b(?:whosin|process)_[a-z_]+\b|\bup(?=\{)")
GROUPED = re.compile(r"\bby \(([a-z, _]+)\)")
LABELS = {name: labels for name, (_, labels) in {**PROMISED, **ADDED}.items()}
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="NOT PROVEN HERE: promtool is missing")


def run(*args: str | Path, given: bytes = b"") -> str:
    done = subprocess.run(["promtool", *args], input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def plain(query: str) -> str:
    """As Grafana sends it, with its variables filled in."""
    filled = query.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")
    assert "$" not in filled, query
    return filled


def metrics_in(query: str) -> set[str]:
    """The metrics that a query names, a histogram's by its own name."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(query)}


def rules() -> list[tuple[str, str]]:
    """Name and text of each."""
    parts = re.split(r"^ +- alert: ", RULES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [(part.split("\n", 1)[0].strip(), part) for part in parts]


@pytest.fixture(scope="module")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a running daemon shows."""
    daemon = Daemon(tmp_path_factory.mktemp("metrics"), f'listen = "127.0.0.1:{free_port()}"').start()
    yield daemon.get("/metrics", token=None)[1]
    daemon.stop()


@promtool
def test_promtool_finds_no_fault_with_the_metrics_of_a_running_daemon(exposition):
    assert run("check", "metrics", given=exposition.encode()) == ""


@promtool
def test_the_rules_are_valid_and_do_what_their_tests_say():
    assert f"{len(rules())} rules found" in run("check", "rules", RULES)
    assert "SUCCESS" in run("test", "rules", RULE_TESTS)


@promtool
def test_the_example_of_a_configuration_is_valid():
    assert "SUCCESS" in run("check", "config", CONFIG)


@promtool
def test_every_query_of_the_dashboard_can_be_parsed(tmp_path):
    recorded = [
        {"record": f"query:{number}", "expr": plain(expr)} for number, (_, expr) in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": recorded}]}))
    assert f"{len(QUERIES)} rules found" in run("check", "rules", file)


@promtool
def test_a_query_that_cannot_be_parsed_would_be_found(tmp_path):
    file = tmp_path / "queries.yml"
    wrong = {"record": "query:0", "expr": plain("sum by (client (whosin_sessions)")}
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": [wrong]}]}))
    with pytest.raises(AssertionError):
        run("check", "rules", file)


def test_every_metric_that_is_asked_for_is_there(exposition):
    there = set(re.findall(r"^# TYPE (\S+)", exposition, re.MULTILINE)) | NOT_OURS
    for title, expr in [*QUERIES, *rules()]:
        text = expr if "action:" not in expr else expr.partition("annotations:")[0]
        assert metrics_in(text), title
        assert metrics_in(text) <= there, title


def test_every_metric_of_the_daemon_is_on_the_dashboard(exposition):
    there = set(re.findall(r"^# TYPE (whosin_\S+)", exposition, re.MULTILINE))
    shown = set().union(*(metrics_in(expr) for _, expr in QUERIES))
    assert there - shown == set()


def test_nothing_is_grouped_by_a_label_that_the_metric_does_not_have():
    for title, expr in [*QUERIES, *((name, text.partition("annotations:")[0]) for name, text in rules())]:
        known = set().union(*(LABELS.get(name, set()) for name in metrics_in(expr)))
        wanted = {label.strip() for group in GROUPED.findall(expr) for label in group.split(",")}
        assert wanted <= known | {"job", "instance", "le"}, title


def test_every_legend_names_labels_that_the_query_keeps():
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            kept = {label.strip() for group in GROUPED.findall(target["expr"]) for label in group.split(",")}
            assert named <= kept | {"instance"}, panel["title"]
            if "instance" in named:
                assert not GROUPED.search(target["expr"])


def test_every_rule_says_how_grave_it_is_what_it_means_and_what_to_do():
    tested = RULE_TESTS.read_text(encoding="utf-8")
    for name, text in rules():
        assert re.search(r"labels: \{ severity: (critical|warning) \}", text), name
        assert "summary: " in text, name
        assert "action: " in text, name
        assert name in tested, f"{name} has no test"
        assert f"`{name}`" in PAGE, f"{name} is not in docs/dashboards.md"


def test_the_dashboard_works_with_any_data_source_and_no_panel_lies_on_another():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    for panel in PANELS:
        assert panel["description"], panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"]["uid"] == "${datasource}"
