"""To a program: signed, bounded, and never to another address than the one that was set."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from tests.support.ports import free_port
from tests.support.webhook import Receiver
from whosin.alerts.delivery import send
from whosin.alerts.targets import Undelivered, webhook
from whosin.alerts.targets.apprise import AppriseTarget, calm
from whosin.alerts.targets.webhook import WebhookTarget


async def refused(made, message) -> Undelivered:
    with pytest.raises(Undelivered) as no:
        await send(made, message)
    assert "s3cret" not in str(no.value)
    assert "t0p" not in str(no.value)
    return no.value


async def test_it_is_posted_as_json_with_a_stable_id(message):
    with Receiver() as hook:
        await send(WebhookTarget(hook.url), message)
        ((headers, _),) = hook.got
        (body,) = hook.bodies
        assert hook.paths == ["/hook/s3cret?token=t0p"]
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == "a1b2-office-raised"
    assert "webhook-signature" not in headers
    assert body["type"] == "alert.raised"
    assert (body["kind"], body["site"], body["company"], body["count"]) == ("blocking", "hq", "books", 1)
    assert body["about"][0]["since"] == "2025-11-24T16:00:00.000Z"
    assert body["link"] == "https://whosin.example.com/disconnected?site=hq&company=books"


@pytest.mark.parametrize(
    ("text", "key"), [("plain secret", b"plain secret"), ("whsec_AAECAw==", bytes(range(4)))]
)
async def test_it_is_signed_where_there_is_a_secret(message, tmp_path, text, key):
    (tmp_path / "key").write_text(text + "\n")
    with Receiver() as hook:
        await send(WebhookTarget(hook.url, secret_file=tmp_path / "key"), message)
        ((headers, body),) = hook.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_an_address_may_stand_in_a_file_and_carry_a_name_and_a_password(message, tmp_path):
    with Receiver() as hook:
        (tmp_path / "url").write_text(hook.url.replace("://", "://joe:pw@") + "\n")
        made = WebhookTarget(url_file=tmp_path / "url")
        await send(made, message)
        ((headers, _),) = hook.got
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"joe:pw").decode()
    assert made.shown == f"http://127.0.0.1:{hook.port}/…"
    (tmp_path / "url").write_text("s3cret\n")
    no = await refused(made, message)
    assert "is no http" in str(no)


@pytest.mark.parametrize(
    ("status", "for_good"),
    [
        (500, False),
        (503, False),
        (429, False),
        (408, False),
        (400, True),
        (404, True),
        (410, True),
        (302, True),
    ],
)
async def test_what_is_refused_for_now_and_what_for_good(message, status, for_good):
    with Receiver() as hook, Receiver() as elsewhere:
        hook.answers = [(status, {"Location": elsewhere.url}, b"because\n of this")]
        no = await refused(WebhookTarget(hook.url), message)
        assert elsewhere.paths == []
    assert no.for_good is for_good
    assert f"said {status}" in str(no)
    assert "because of this" in str(no)


async def test_a_target_may_ask_for_time(message):
    with Receiver() as hook:
        hook.answers = [(429, {"Retry-After": "120"}, b""), (503, {"Retry-After": "99999999"}, b"")]
        assert (await refused(WebhookTarget(hook.url), message)).after_s == 120
        assert (await refused(WebhookTarget(hook.url), message)).after_s == 3600


async def test_an_endless_answer_is_not_read(message):
    with Receiver() as hook:
        hook.answers = [(500, {}, b"x" * 1_000_000)]
        assert len(str(await refused(WebhookTarget(hook.url), message))) < 300


async def test_tls_is_checked(message, server_tls):
    context, trusted = server_tls
    with Receiver(tls=context) as hook:
        await send(WebhookTarget(hook.url, ca_file=trusted), message)
        assert len(hook.got) == 1
        no = await refused(WebhookTarget(hook.url), message)
        assert len(hook.got) == 1
    assert "certificate is not accepted" in str(no)


async def test_nobody_listens_or_says_anything(message, monkeypatch):
    no = await refused(WebhookTarget(f"http://127.0.0.1:{free_port()}/s3cret"), message)
    assert "Connection refused" in str(no)
    monkeypatch.setattr(webhook, "ATTEMPT_S", 0.2)
    with Receiver() as hook:
        hook.hang = True
        assert "no answer" in str(await refused(WebhookTarget(hook.url), message))


def test_a_name_rings_at_nobodys():
    for call in ("@everyone", "@Here", "<!channel>", "<@U123>"):
        assert call not in calm(f"x {call} y")
    assert calm("anna@example.com <b>") == "anna@example.com <b>"


@pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")  # of the library's own
async def test_apprise_reaches_a_target_of_its_own(message, tmp_path, caplog):
    caplog.set_level("DEBUG")
    with Receiver() as hook:
        made = AppriseTarget(f"json://127.0.0.1:{hook.port}/s3cret")
        await send(made, message)
        (body,) = hook.bodies
        assert body["title"] == message.subject
        assert "anna on PC-7" in body["message"]
        assert body["type"] == "warning"
        hook.always = (500, {}, b"")
        no = await refused(made, message)
        assert not no.for_good
    assert made.shown == "json://…"
    assert "s3cret" not in caplog.text
    no = await refused(AppriseTarget("nothing-known://s3cret"), message)
    assert no.for_good
    (tmp_path / "url").write_text("s3cret\n")
    assert "is no address" in str(await refused(AppriseTarget(url_file=tmp_path / "url"), message))
    assert "s3cret" not in caplog.text
