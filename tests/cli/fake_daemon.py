"""A daemon's API in a thread, with answers to set and a list of what was asked. Knows the contract's shapes.

`python tests/cli/fake_daemon.py 8899` serves a lively morning, to look at the command line against it.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

TOKEN = "t-admin"


def ago(seconds):
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def blocked(user, resource="sales-order/SO-1001", *, waiting=True):
    return {
        "session": f"b-{user}",
        "user": user,
        "machine": f"PC-{user}",
        "client": "desktop",
        "resource": resource,
        "mode": "exclusive",
        "since": ago(130),
        "waiting": waiting,
    }


def held(resource="sales-order/SO-1001", **more):
    return {
        "resource": resource,
        "mode": "exclusive",
        "token": 7,
        "since": ago(3000),
        "sticky": False,
        "activity": "amending",
        "guidance": None,
        "rule": None,
        "release_at": None,
        **more,
    }


def session(ident, **more):
    item = {
        "id": ident,
        "site": "vienna",
        "company": "main",
        "user": "anna",
        "client": "desktop",
        "machine": "PC-7",
        "address": "10.0.0.7",
        "app": "erp 9.1",
        "os_session": None,
        "conn": 3,
        "status": "active",
        "reason": None,
        "since": ago(8000),
        "last_seen": ago(20),
        "at": None,
        "deadline": ago(-280),
        "disconnected_at": None,
        "ended_at": None,
        "ended_by": None,
        "lost": False,
        "idle": False,
        "idle_s": 12,
        "activity": None,
        "held_back": False,
        "source": "door",
        "guidance": [],
        "locks": [],
        "blocks": [],
    }
    return item | more


def fallen(ident, since_s=240, **more):
    at = ago(since_s)
    return (
        session(ident, status="disconnected", disconnected_at=at, deadline=None, last_seen=ago(since_s + 300))
        | more
    )


def lock(resource="sales-order/SO-1001", **more):
    return {
        "site": "vienna",
        "company": "main",
        **held(resource),
        "left_behind": False,
        "session": "s1",
        "user": "anna",
        "machine": "PC-7",
        "client": "desktop",
        "status": "active",
        "blocks": [],
    } | more


def event(seq, kind="session.logged_in", **more):
    return {
        "seq": seq,
        "at": ago(seq),
        "type": kind,
        "site": "vienna",
        "company": "main",
        "session": "s1",
        "user": "anna",
        "actor": None,
        "reason": None,
        "data": {},
    } | more


def entry(company="main", **more):
    return {
        "site": "vienna",
        "company": company,
        "removed": 0,
        "released": 0,
        "held_back": 0,
        "skipped": 0,
        "failed": None,
    } | more


def report(*companies, **more):
    counts = {
        name: sum(one[name] for one in companies) for name in ("removed", "released", "held_back", "skipped")
    }
    return {
        "id": 1,
        "state": "finished",
        "started": ago(62),
        "finished": ago(60),
        "by": "cleanup",
        "dry_run": False,
        "companies": list(companies),
        **counts,
        "failed": sum(bool(one["failed"]) for one in companies),
    } | more


def cleanup(**more):
    return {
        "enabled": True,
        "every_s": 1800.0,
        "next_at": ago(-700),
        "running": None,
        "waiting_for": [],
        "last": None,
        "holds": [],
    } | more


def stats(**more):
    return {
        "name": "vienna-1",
        "version": "0.1.0",
        "started_at": ago(90_000),
        "now": ago(0),
        "sessions": {"active": 41, "disconnected": 3},
        "by_client": {"desktop": {"active": 30, "disconnected": 2}, "web": {"active": 11, "disconnected": 1}},
        "locks": 12,
        "waiting": 2,
        "blocked": 3,
        "companies": 5,
        "sites": 1,
        "heartbeats_total": 1000,
        "blind": False,
        "sources": {"door": {"seeing": True, "since": ago(90_000), "grace_until": None}},
        "storage": {"ok": True, "problem": None, "kind": None},
        "outbox": 0,
        "ready": True,
        "problems": [],
        "cleanup": {"enabled": True, "next_at": ago(-700), "running": False},
        "followups": {"open": 3, "critical": 1},
        "maintenance": [],
        "sign_in": {"mqtt": True},
    } | more


def result(ident, outcome="removed", **more):
    return {
        "id": ident,
        "result": outcome,
        "released": [],
        "held": [],
        "sticky": [],
        "freed": [],
        "guidance": [],
        "followups": [],
    } | more


def rule(ident="sales-order", **more):
    return {
        "id": ident,
        "severity": "normal",
        "before": "Ask whether it was saved.",
        "after": "Open the order.",
        "match": {"resource": ["sales-order/*"], "activity": [], "client": []},
    } | more


def followup(ident=17, **more):
    return {
        "id": ident,
        "status": "open",
        "created": ago(7200),
        "site": "vienna",
        "company": "main",
        "session": "s1",
        "user": "anna",
        "client": "desktop",
        "machine": "PC-7",
        "resource": "sales-order/SO-1001",
        "rule": "sales-order",
        "severity": "normal",
        "text": "Open the order.",
        "done": None,
        "done_by": None,
        "note": None,
    } | more


def window(ident=3, **more):
    return {
        "id": ident,
        "site": "vienna",
        "company": None,
        "from": ago(-1200),
        "until": ago(-4800),
        "text": "New version.",
        "force": False,
        "by": "admin",
        "state": "planned",
    } | more


class FakeDaemon:
    """`answers` has what is given for "METHOD path": a value, a list of items (then paged), a (status, code,
    detail) for a refusal, or a function of (query, body). `asked` has (method, path, query, body)."""

    def __init__(self, port=0):
        self.answers = {}
        self.asked = []
        self.metrics = ""
        self.events = queue.SimpleQueue()
        self.token = TOKEN
        handler = type("Bound", (_Handler,), {"daemon": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def bodies(self, path):
        return [body for method, asked, _, body in self.asked if f"{method} {asked}" == path]

    def queries(self, path):
        return [query for method, asked, query, _ in self.asked if f"{method} {asked}" == path]

    def answer(self, method, path, query, body):
        found = self.answers.get(
            f"{method} {path}", (404, "not_found", f'Nothing at "{path}" is known here.')
        )
        found = found(query, body) if callable(found) else found
        if isinstance(found, list):
            start, size = int(query.get("cursor", 0)), int(query.get("limit", 100))
            more = str(start + size) if start + size < len(found) else None
            found = {"items": found[start : start + size], "next": more, "total": len(found)}
        return found


class _Handler(BaseHTTPRequestHandler):
    def _serve(self):
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = parts.path.removeprefix("/api/v1/")
        self.daemon.asked.append((self.command, path, query, body))
        if self.headers.get("Authorization") != f"Bearer {self.daemon.token}":
            return self._send(
                (401, "invalid_token", "The token is not known here; it may have been revoked.")
            )
        if path == "/metrics":
            return self._plain(self.daemon.metrics.encode(), "text/plain")
        if path == "events":
            return self._stream()
        return self._send(self.daemon.answer(self.command, path, query, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def _send(self, answer):
        if isinstance(answer, tuple):
            status, code, detail = answer
            problem = {
                "type": f"urn:whosin:problem:{code}",
                "title": code,
                "status": status,
                "detail": detail,
            }
            self._plain(json.dumps(problem | {"code": code}).encode(), "application/problem+json", status)
        elif answer is None:
            self.send_response(204)
            self.end_headers()
        else:
            self._plain(json.dumps(answer).encode(), "application/json")

    def _plain(self, content, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while (item := self.daemon.events.get()) is not None:
            self.wfile.write(f"id: 1\nevent: {item['type']}\ndata: {json.dumps(item)}\n\n".encode())

    def log_message(self, *_):
        pass


def lively(daemon):
    """Forty people at work, some of them gone."""
    people = ["anna", "ben", "carl", "dora", "emil", "fritz", "greta", "hanna", "ida", "jakob"]
    ids = [f"{n:x}".ljust(8, "0b9c2f7e"[n % 8]) + "-41f7-4d0c-9a52-0c5be1e2f6a1" for n in range(4096, 4136)]
    resources = ["sales-order/SO-1001", "vat-return", "purchase-order/PO-77", "stock/item/4711"]
    items = [
        session(
            ident,
            user=people[n % 10],
            machine=f"PC-{n}",
            company=["main", "acme-holding"][n % 2],
            client=["desktop", "web"][n % 3 == 0],
            activity=["amending an order", None][n % 2],
            locks=[held(resources[n % 4])] if n % 4 == 0 else [],
            lost=n == 6,
            idle=n == 9,
        )
        for n, ident in enumerate(ids)
    ]
    for n in (3, 11, 20, 28):
        items[n] |= fallen(items[n]["id"], 100 * n) | {
            name: items[n][name] for name in ("user", "machine", "company", "client")
        }
    items[3] |= {
        "locks": [held(rule="prove-balances"), held("vat-return")],
        "blocks": [blocked("ben"), blocked("carl"), blocked("dora")],
        "guidance": ["prove-balances"],
    }
    items[11] |= {"locks": [held("stock/item/4711")], "blocks": [blocked("emil", waiting=False)]}
    kinds = ["logged_in", "disconnected", "reconnected", "removed", "logged_off"]
    events = [
        event(
            n * 7,
            f"session.{kinds[n % 5]}",
            user=people[n % 10],
            session=ids[n],
            actor="admin" if n % 5 == 3 else None,
            reason="cleared on the phone" if n % 5 == 3 else None,
        )
        for n in range(40)
    ]
    by_id = {item["id"]: item for item in items}
    daemon.answers |= {f"GET sessions/{ident}": item for ident, item in by_id.items()} | {
        "GET sessions": lambda q, _: [
            item
            for item in items
            if item["status"] in q.get("status", "active,disconnected") and q.get("q", "") in item["id"]
        ],
        "GET guidance": [rule("prove-balances", severity="critical"), rule()],
        "GET followups": [followup(), followup(16, severity="critical", rule="prove-balances")],
        "GET stats": lambda _q, _b: stats(),
        "GET history": events,
        "GET locks": [
            lock(status="disconnected", blocks=[blocked("ben"), blocked("carl")]),
            lock("vat-return", user="ben", machine="PC-3"),
            lock("menu-editor", left_behind=True, sticky=True),
            lock("stock/item/4711", release_at=ago(-9), status="removed"),
        ],
        "GET companies": [
            {"site": "vienna", "company": name, "active": 20, "disconnected": 2, "locks": 5, "waiting": 1}
            for name in ("main", "acme-holding")
        ],
        "GET cleanup": cleanup(
            last=report(entry(removed=3, released=4)),
            holds=[
                {
                    "site": "vienna",
                    "company": None,
                    "client": "web",
                    "opened": ago(500),
                    "until": ago(-3100),
                    "sessions": 12,
                }
            ],
        ),
        "POST cleanup/run": report(entry(removed=3, released=4), entry("acme-holding", failed="no access")),
        "GET cleanup/passes": [report(entry(removed=n, released=2 * n)) for n in range(5)],
        "GET tokens": [{"name": "till-screen", "role": "viewer", "site": "vienna", "created": ago(99999)}],
        "GET clients": [
            {"name": "portal", "role": "gateway", "site": "vienna", "user": None, "created": ago(9)}
        ],
        "POST sessions/logoff": lambda _, b: {
            "results": [
                result(
                    i,
                    ("would_remove" if b["dry_run"] else "removed")
                    if i in by_id and (b["force"] or by_id[i]["status"] != "active")
                    else "needs_force"
                    if i in by_id
                    else "not_found",
                    released=[one["resource"] for one in by_id.get(i, session(i))["locks"]],
                    freed=by_id.get(i, session(i))["blocks"],
                )
                for i in b["ids"]
            ]
        },
    }


if __name__ == "__main__":
    with FakeDaemon(int(sys.argv[1])) as running:
        lively(running)
        print(running.url, TOKEN)
        try:
            number = 0
            while True:
                threading.Event().wait(2)
                number += 1
                running.metrics = f'whosin_messages_total{{verb="heartbeat"}} {number * 84}\n'
                running.metrics += f"whosin_detection_lag_seconds_sum {number * 0.2}\n"
                running.metrics += f"whosin_detection_lag_seconds_count {number}\n"
                running.events.put(event(0, "session.reconnected", user="zoe"))
        except KeyboardInterrupt:
            running.events.put(None)
