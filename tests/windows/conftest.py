"""The Windows Python for the tests that need it, or the reason why there is none."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def windows():
    """Built, and with one process that stays. Skips where it cannot be had."""
    from tests.windows import wine  # noqa: PLC0415 - not there, where this file is read too

    try:
        wine.built()
    except wine.Missing as missing:
        pytest.skip(f"no Windows Python: {missing}")
    with wine.kept_alive():
        yield wine
