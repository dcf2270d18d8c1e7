"""From settings to what alerts are told: the plan, its channels and their targets.

The one room that knows both. Nothing is read or connected to here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whosin.alerts.conditions import Pace
from whosin.alerts.office import Plan
from whosin.alerts.routing import Channel
from whosin.alerts.targets import LogTarget, Target
from whosin.alerts.watch import Thresholds

if TYPE_CHECKING:
    from whosin.settings import Settings
    from whosin.settings.alerts import Channel as Section


def plan_of(settings: Settings, *, page: str | None = None) -> Plan:
    """`page`: where people find the page, unless as the settings say."""
    alerts = settings.alerts
    return Plan(
        channels=tuple(_channel(name, section) for name, section in settings.alert_channels.items()),
        pace=Pace(_ms(alerts.group_s), _ms(alerts.again_s), _ms(alerts.remind_s)),
        thresholds=Thresholds(_ms(alerts.blind_after_s), _ms(alerts.storage_after_s)),
        give_up_ms=_ms(alerts.give_up_s),
        page=page or settings.page_url,
        daemon=settings.daemon.name,
    )


def _channel(name: str, its: Section) -> Channel:
    told = its.cleared == "on" or (its.cleared == "auto" and its.kind in ("log", "webhook"))
    return Channel(
        name, _target(its), its.sites, its.companies, its.roles, its.kinds, its.at_least, cleared=told
    )


def _target(its: Section) -> Target:
    url = its.url.text if its.url is not None else None
    if its.kind == "email":
        from whosin.alerts.targets.email import EmailTarget  # noqa: PLC0415 - see the room's first lines

        assert its.host is not None
        assert its.sender is not None
        return EmailTarget(
            its.host, its.sender, its.to, its.port, its.tls, its.ca_file, its.username, its.password_file
        )
    if its.kind == "webhook":
        from whosin.alerts.targets.webhook import WebhookTarget  # noqa: PLC0415

        return WebhookTarget(url, its.url_file, its.ca_file, its.password_file)
    if its.kind == "apprise":
        from whosin.alerts.targets.apprise import AppriseTarget  # noqa: PLC0415

        return AppriseTarget(url, its.url_file)
    return LogTarget()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
