"""By e-mail, to a real SMTP server that does what mail servers do."""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest

from tests.alerts.conftest import FACT, told
from tests.support.daemon import until
from tests.support.ports import free_port
from tests.support.smtp import MailServer, text_of
from whosin.alerts.conditions import Group
from whosin.alerts.delivery import send
from whosin.alerts.messages import compose
from whosin.alerts.targets import PartlyTaken, Undelivered, base, email
from whosin.alerts.targets.email import EmailTarget

pytestmark = pytest.mark.filterwarnings("ignore:Session.login_data:DeprecationWarning")  # aiosmtpd's own


def target(server, **more):
    fields = {
        "host": "127.0.0.1",
        "port": server.port,
        "sender": "whosin@example.com",
        "to": ("ops@example.com",),
    }
    return EmailTarget(**{**fields, "tls": "off", **more})


async def refused(made, message) -> Undelivered:
    with pytest.raises(Undelivered) as no:
        await send(made, message)
    return no.value


async def test_a_mail_has_both_texts_and_says_what_it_is(message):
    with MailServer() as server:
        await send(target(server, to=("ops@example.com", "night@example.com")), message)
        (mail,) = server.mails
        (envelope,) = server.envelopes
    assert envelope.mail_from == "whosin@example.com"
    assert envelope.rcpt_tos == ["ops@example.com", "night@example.com"]
    assert mail["Subject"].strip() == message.subject  # it may be folded
    assert mail["Message-ID"] == "<a1b2-office-raised@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert text_of(mail).replace("\r\n", "\n").strip() == message.text
    assert "<h1" in text_of(mail, "html")


async def test_names_of_strangers_add_no_header(message):
    nasty = "x\r\nBcc: victim@example.com\r\n\r\nhello"
    evil = {**FACT, "user": nasty, "machine": nasty, "session": nasty}
    made = compose(
        told("blocking", evil, group=Group("blocking", nasty, nasty)), "i", page="http://x", daemon=nasty
    )
    with MailServer() as server:
        await send(target(server), made)
        (mail,) = server.mails
        (envelope,) = server.envelopes
    assert envelope.rcpt_tos == ["ops@example.com"]
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    assert not any(line.startswith("Bcc:") for line in text_of(mail).splitlines())


async def test_starttls_and_a_password_that_is_right_or_wrong(message, server_tls, tmp_path):
    context, trusted = server_tls
    (tmp_path / "pw").write_text("s3cret\n")
    with MailServer(tls=context, password="s3cret") as server:
        signed = {"tls": "starttls", "ca_file": trusted, "username": "u", "password_file": tmp_path / "pw"}
        await send(target(server, **signed), message)
        assert server.logins == ["u"]
        assert len(server.mails) == 1
        (tmp_path / "pw").write_text("wr0ng\n")
        no = await refused(target(server, **signed), message)
    assert no.for_good
    assert "535" in str(no)
    assert "wr0ng" not in str(no)


async def test_tls_from_the_start(message, server_tls):
    context, trusted = server_tls
    with MailServer(tls=context, implicit=True) as server:
        await send(target(server, tls="on", ca_file=trusted), message)
        assert len(server.mails) == 1


@pytest.mark.parametrize("tls", ["starttls", "on"])
async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(message, server_tls, tls):
    context, _ = server_tls
    with MailServer(tls=context, implicit=tls == "on") as server:
        no = await refused(target(server, tls=tls), message)
        assert server.mails == []
    assert "certificate is not accepted" in str(no)
    assert not no.for_good


async def test_nothing_is_sent_in_clear_to_a_server_that_offers_no_tls(message):
    with MailServer() as server:
        no = await refused(target(server, tls="starttls"), message)
        assert server.mails == []
    assert no.for_good
    assert "offers no TLS" in str(no)


@pytest.mark.parametrize(("said", "for_good"), [("451 try again later", False), ("554 this is spam", True)])
async def test_what_is_refused_for_now_and_what_for_good(message, said, for_good):
    with MailServer() as server:
        server.said["DATA"] = said
        no = await refused(target(server), message)
    assert (no.for_good, said in str(no)) == (for_good, True)


@pytest.mark.parametrize(("said", "for_good"), [("450 all", False), ("550 all", True)])
async def test_nobody_there(message, said, for_good):
    with MailServer() as server:
        server.said["RCPT"] = said
        no = await refused(target(server), message)
    assert no.for_good is for_good
    assert "takes it for nobody: ops@example.com" in str(no)


async def test_one_of_two_that_does_not_exist_does_not_make_the_other_get_it_twice(message):
    with MailServer() as server:
        server.said["RCPT"] = "550 gone@example.com"
        no = await refused(target(server, to=("ops@example.com", "gone@example.com")), message)
        assert len(server.mails) == 1
    assert isinstance(no, PartlyTaken)
    assert "gone@example.com" in str(no)


async def test_nobody_listens(message):
    made = EmailTarget("127.0.0.1", "a@b", ("c@d",), free_port(), "off")
    no = await refused(made, message)
    assert "Connection refused" in str(no)
    assert not no.for_good


async def test_a_server_that_says_nothing_is_waited_for_in_bounds(message, monkeypatch):
    monkeypatch.setattr(email, "ATTEMPT_S", 0.3)
    with MailServer() as server:
        server.hang = True
        began = time.monotonic()
        no = await refused(target(server), message)
        assert time.monotonic() - began < 5
    assert "no answer" in str(no)


async def test_an_attempt_is_cut_off_in_time_whatever_the_server_does(message):
    with MailServer() as server:
        server.hang = True
        with pytest.raises(Undelivered, match=r"no end within 0.2 s"):
            await send(target(server), message, cut_s=0.2)


async def test_a_password_file_that_is_gone_is_told(message, server_tls, tmp_path):
    context, trusted = server_tls
    with MailServer(tls=context, password="x") as server:
        made = target(server, tls="starttls", ca_file=trusted, username="u", password_file=tmp_path / "none")
        no = await refused(made, message)
    assert "none cannot be read" in str(no)


async def test_whoever_waits_and_goes_leaves_no_socket_behind(message):
    with MailServer() as server:
        server.hang = True
        task = asyncio.create_task(send(target(server), message))
        await asyncio.to_thread(until, lambda: server.attempts)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_context_for_clients_checks_names():
    assert base.trust(None).verify_mode is ssl.CERT_REQUIRED
    assert base.trust(None).check_hostname
