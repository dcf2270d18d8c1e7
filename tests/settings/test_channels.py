"""Channels of alerts: a table of sections, what goes with which kind, and no secret told."""

from __future__ import annotations

import pytest

from tests.settings.helpers import ENVIRON, problem, problems, read
from whosin.alerts.kinds import KINDS
from whosin.settings import load
from whosin.settings.alerts import KINDS as NAMES

MAIL = """
[alerts.channels.office]
kind = "email"
host = "mail.example.com"
sender = "whosin@example.com"
to = ["ops@example.com"]
"""
SECRET = "https://hooks.example.com/services/T0/B0/s3cret"


def test_without_any_there_is_none(tmp_path):
    assert load(None, ENVIRON).alert_channels == {}


def test_each_has_a_section_of_its_own(tmp_path):
    found = read(tmp_path, MAIL + "[alerts.channels.log]\n[alerts]\ngroup_s = 5")
    assert list(found.alert_channels) == ["office", "log"]
    office = found.alert_channels["office"]
    assert (office.kind, office.host, office.to, office.tls) == (
        "email", "mail.example.com", ("ops@example.com",), "starttls"
    )  # fmt: skip
    assert found.alert_channels["log"].kind == "log"
    assert found.alerts.group_s == 5


def test_variables_make_and_change_them(tmp_path):
    more = {
        "WHOSIN_ALERTS__CHANNELS__OFFICE__TO": "a@example.com, b@example.com",
        "WHOSIN_ALERTS__CHANNELS__NIGHT__AT_LEAST": "critical",
        "WHOSIN_ALERTS__GROUP_S": "7",
    }
    found = read(tmp_path, MAIL, **more)
    assert found.alert_channels["office"].to == ("a@example.com", "b@example.com")
    assert found.alert_channels["night"].at_least == "critical"
    assert found.alerts.group_s == 7


def test_the_kinds_are_those_that_alerts_have():
    assert tuple(KINDS) == NAMES


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'alerts.channels = ["mail"]',
            'alerts.channels is ["mail"]; expected sections, as in [alerts.channels.office]',
        ),
        (
            "alerts.channels.office = 1",
            "alerts.channels.office is 1; expected a section, as in [alerts.channels.office]",
        ),
        (
            '[alerts.channels."Büro"]',
            'alerts.channels."Büro" is not a name for a channel; expected 1 to 32 of a-z, 0-9, _ and -',
        ),
        (
            'alerts.channels.x.kind = "pigeon"',
            'alerts.channels.x.kind is "pigeon"; expected "log", "email", "webhook" or "apprise"',
        ),
        (
            'alerts.channels.x.host = "a"',
            'alerts.channels.x.host is set and kind is "log"; expected it only where kind is "email"',
        ),
        (MAIL + "port = 70000", "alerts.channels.office.port is 70000; expected 0 to 65535"),
        (MAIL.replace("host", "#"), 'alerts.channels.office.host is not set; expected it as kind is "email"'),
        (
            MAIL + 'username = "u"',
            "alerts.channels.office.username is set and password_file is not; expected both or neither",
        ),
        (
            'alerts.channels.x.kind = "webhook"',
            "alerts.channels.x.url and url_file are neither set; expected one of them",
        ),
        (
            'alerts.channels.x = { kind = "webhook", url = "slack://a/b" }',
            "alerts.channels.x.url is slack://…; expected http:// or https:// for a webhook",
        ),
        (
            'alerts.channels.x.roles = ["viewer"]',
            'alerts.channels.x.roles is ["viewer"]; expected a list of operator, administrator',
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, sentence):
    assert problem(tmp_path, text) == f"whosin.toml: {sentence}"


def test_a_misspelt_key_is_named(tmp_path):
    told = problem(tmp_path, MAIL + 'hots = "b"')
    assert "alerts.channels.office.hots is not a setting" in told
    assert told.endswith("did you mean alerts.channels.office.host?")
    variable = {"WHOSIN_ALERTS__CHANNELS__OFFICE__HOTS": "b"}
    assert problem(tmp_path, MAIL, **variable).endswith("mean WHOSIN_ALERTS__CHANNELS__OFFICE__HOST?")


def test_header_lines_do_not_fit_into_an_address(tmp_path):
    for bad in ("a@b\\nBcc: c@d", "A <a@b>", "a@b, c@d", "a b@c"):
        assert "sender is" in problem(tmp_path, MAIL.replace("whosin@example.com", bad))
        assert "to is" in problem(tmp_path, MAIL.replace("ops@example.com", bad))


def test_a_password_does_not_cross_the_network_in_clear(tmp_path):
    (tmp_path / "pw").write_text("x")
    signs_in = MAIL + 'username = "u"\npassword_file = "pw"\ntls = "off"'
    assert "in clear" in problem(tmp_path, signs_in)
    assert (
        read(tmp_path, signs_in.replace("mail.example.com", "127.0.0.1")).alert_channels["office"].tls
        == "off"
    )


def test_no_more_than_a_few(tmp_path):
    many = "\n".join(f"[alerts.channels.c{n}]" for n in range(33))
    assert problem(tmp_path, many) == "whosin.toml: alerts.channels has 33 channels; expected at most 32"


def test_an_address_that_may_be_a_secret_is_never_told(tmp_path):
    hook = f'[alerts.channels.x]\nkind = "webhook"\nurl = "{SECRET}"'
    found = read(tmp_path, hook)
    assert found.alert_channels["x"].url.text == SECRET
    told = {key: value for key, value, _ in found.describe()}
    assert told["alerts.channels.x.url"] == "https://hooks.example.com/…"
    assert "s3cret" not in repr(found) + str(found.warnings())
    wrong = SECRET.replace("://", ":// ")
    for text, more in (
        (hook.replace(SECRET, wrong), {}), (hook, {"WHOSIN_ALERTS__CHANNELS__X__URL": wrong}),
        (hook.replace(SECRET, SECRET.replace("https", "apprise")), {}),
    ):  # fmt: skip
        (only,) = problems(tmp_path, text, **more)
        assert "s3cret" not in only
        assert "alerts.channels.x.url is" in only


def test_what_crosses_the_network_in_clear_is_worth_a_warning(tmp_path):
    told = read(tmp_path, MAIL + 'tls = "off"').warnings()
    assert any("alerts.channels.office.tls is off" in one for one in told)
    hook = '[alerts.channels.x]\nkind = "webhook"\nurl = "http://10.0.0.1/x"'
    assert any(
        "alerts.channels.x.url is http://10.0.0.1/… without TLS" in one
        for one in read(tmp_path, hook).warnings()
    )
    assert read(tmp_path, hook.replace("10.0.0.1", "127.0.0.1")).warnings() == load(None, ENVIRON).warnings()


def test_what_people_follow_is_the_public_address(tmp_path):
    assert load(None, ENVIRON).page_url == "http://127.0.0.1:8787"
    assert read(tmp_path, 'http.public_url = "https://whosin.example.com/x/"').page_url == (
        "https://whosin.example.com/x"
    )
    assert "expected" in problem(tmp_path, 'http.public_url = "javascript:alert(1)"')
