"""What all checks look at: settings, who has the database, the daemon's own word. Each is asked once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whosin.apiclient import ApiError, ApiRefused, Unreachable
from whosin.errors import StoreError, StoreRefused
from whosin.store import looking

if TYPE_CHECKING:
    from whosin.apiclient import ApiClient
    from whosin.settings import Settings

Json = dict[str, Any]


@dataclass
class Patient:
    """`api` is None while `http.listen` is off. `now_s` is the wall clock."""

    settings: Settings
    api: ApiClient | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    now_s: Callable[[], float] = time.time

    @property
    def database(self) -> Path:
        return self.settings.database.expanduser().resolve()

    @cached_property
    def holder(self) -> looking.Holder | None:
        """Who has the database open as a daemon does."""
        try:
            return looking.holder(self.database)
        except OSError:
            return None

    @cached_property
    def stats(self) -> Json | ApiError | None:
        """The daemon's word about itself, or why there is none."""
        found: Json | ApiError | None = self.ask("stats")
        return found

    @property
    def answers(self) -> Json | None:
        return self.stats if isinstance(self.stats, dict) else None

    def ask(self, path: str) -> Any:
        """The answer; an ApiError where there was none, None while the API is off."""
        if self.api is None:
            return None
        try:
            return self.api.get(path)
        except (Unreachable, ApiRefused) as error:
            return error

    @cached_property
    def look(self) -> looking.Look | StoreError | StoreRefused | None:
        """What is in the database, while no daemon has it; None where it cannot be told."""
        if self.holder is not None or not self.database.exists():
            return None
        try:
            return looking.look(self.database)
        except (StoreError, StoreRefused) as error:
            return error
