"""A daemon with people in it, and operators before real browsers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
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
    site = Site(tmp_path, "door").start()
    try:
        yield Office(site)
    finally:
        site.close()


@pytest.fixture
def operator(browser: Browser, office: Office) -> Iterator[Callable[..., Page]]:
    """Open a browser of its own for an operator. A warning or an error in its console fails the test."""
    contexts, said = [], []

    def opened(path: str = "/", *, quiet: bool = True, **options: Any) -> Page:
        token = options.pop("token", None) or office.daemon.token
        context = browser.new_context(
            base_url=office.daemon.url,
            **({"viewport": {"width": 1280, "height": 800}} | options),
        )
        contexts.append(context)
        signed_in = context.request.post("/api/v1/sign-in", data={"token": token})
        assert signed_in.ok, signed_in.text()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        if quiet:
            page.on("console", lambda it: said.append(it.text) if it.type in ("error", "warning") else None)
            page.on("pageerror", lambda it: said.append(str(it)))
        page.goto(path)
        expect(page.locator("#pulse.on")).to_be_visible(timeout=PATIENCE_MS)
        return page

    expect.set_options(timeout=PATIENCE_MS)
    yield opened
    for context in contexts:
        context.close()
    assert said == []


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
