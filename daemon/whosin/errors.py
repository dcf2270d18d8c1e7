"""The one tree of exceptions. Owns what can go wrong in words a caller can act on; knows nobody."""

from __future__ import annotations


class WhosinError(Exception):
    """Anything Whosin raises on purpose."""


class SettingsError(WhosinError):
    """Settings that cannot be used; `problems` has one complete sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class CertificateError(WhosinError):
    """Files for TLS that cannot be used; the text names them, what was found and what is expected."""


class BadInput(WhosinError):  # noqa: N818 - the domain's word
    """A message that breaks the wire contract. `reason` is the metric's label (rule 11)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreError(WhosinError):
    """The store could not do it now; trying again later may help. `kind` is what readiness shows:
    `full`, `read_only`, `locked`, `corrupt`, `io`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoreRefused(WhosinError):  # noqa: N818
    """The store can never be opened by this program as it is (newer schema, not a database)."""


class Refused(WhosinError):  # noqa: N818
    """A command that was understood and not done. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
