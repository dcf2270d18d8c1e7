"""A daemon with people in it, and operators before real browsers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.conftest import Site
from tests.support.daemon import until

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",  # root has none
    "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 15_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skipif(CHROMIUM is None, reason="NOT TESTED: chromium is missing")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(missing)


@pytest.fixture(scope="module")  # while it is open no other event loop can run in this thread
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class Office:
    """People at work in front of one daemon. `fall` makes somebody fall silent, and waits until it shows."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.daemon = site.daemon
        self.client = site.client()
        self.heart = site.heart(self.client)

    def enter(self, user: str, **more: Any) -> str:
        """Log in, and be heard from on; the session's id."""
        ident = more.pop("ident", f"s-{user}")
        activity = more.pop("activity", None)
        self.client.login(ident, user, machine=more.pop("machine", f"PC-{user}"), **more)
        if activity is not None:
            self.client.say(ident, "heartbeat", {"activity": activity}, company=more.get("company", "c1"))
        self.heart.add(ident, company=more.get("company", "c1"))
        return ident

    def lock(self, ident: str, resource: str, **more: Any) -> None:
        self.client.say(ident, "lock", {"resource": resource, **more})

    def fall(self, *idents: str) -> None:
        for ident in idents:
            self.heart.remove(ident)
        for ident in idents:
            until(lambda it=ident: self.daemon.status(it) == "disconnected", what=f"{ident} is disconnected")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    site = Site(tmp_path, "door")
    try:
        site.start()  # one that is not ready in time is ended, too
        yield Office(site)
    finally:
        site.close()


class Operators:
    """Browsers of their own in front of one daemon. What their consoles say against it is kept in `said`."""

    def __init__(self, browser: Browser, url: str, token: str) -> None:
        self._browser, self._url, self._token = browser, url, token
        self._contexts: list[BrowserContext] = []
        self.said: list[str] = []

    def __call__(self, path: str = "/", *, quiet: bool = True, token: str = "", **options: Any) -> Page:
        """A page at that address, signed in and live. Not `quiet`: errors are expected."""
        context = self._browser.new_context(
            base_url=self._url, **({"viewport": {"width": 1280, "height": 800}} | options)
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        signed_in = context.request.post("/api/v1/sign-in", data={"token": token or self._token})
        assert signed_in.ok, signed_in.text()
        page = context.new_page()
        if quiet:
            page.on(
                "console", lambda it: self.said.append(it.text) if it.type in ("error", "warning") else None
            )
            page.on("pageerror", lambda it: self.said.append(str(it)))
        page.goto(path)
        expect(page.locator("#pulse.on")).to_be_visible()
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def operator(browser: Browser, office: Office) -> Iterator[Operators]:
    """Open a browser for an operator. A warning or an error in its console fails the test."""
    operators = Operators(browser, office.daemon.url, office.daemon.token)
    yield operators
    operators.close()
    assert operators.said == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker's script."""
    if shutil.which("npm") is None:
        pytest.skip("NOT TESTED: npm is missing")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(
        ["npm", "install", "--silent", "--no-fund", "--no-audit", "--no-package-lock", "axe-core@4"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
