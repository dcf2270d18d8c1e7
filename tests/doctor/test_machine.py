"""Ports, clock, certificates, open files, services: what is around the daemon."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.store.fixtures import kept
from tests.support.certificates import Authority, needs_openssl
from tests.support.ports import free_port
from whosin.doctor import certificates, clocks, people, ports, system
from whosin.doctor.findings import Level

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a port is")


# --- ports ---------------------------------------------------------------------------------------------


def test_free_ports_are_well(patient, look):
    found = look(ports.check(patient()))
    assert [one.level for one in found] == [Level.OK, Level.OK]
    assert found[0].found.endswith("is free (http.listen)")


@on_linux
def test_a_port_taken_by_another_program_is_a_problem_with_its_name_and_number(patient, look):
    port = free_port()
    code = f"import socket; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"up\n"
        found = look(ports.check(patient(f'[http]\nlisten = "127.0.0.1:{port}"\n')))
        other.communicate(b"\n")
    level, said, advice = found.of(f"port {port}")[0]
    assert level == "problem"
    assert f"(process {other.pid})" in said
    assert advice == "Stop that program, or set http.listen to another port."


def test_an_address_of_another_machine_is_a_problem(patient, look):
    text = '[http]\nlisten = "192.0.2.1:8787"\nbehind_proxy = true\n'
    level, said, _ = look(ports.check(patient(text))).of("port 8787")[0]
    assert (level, said) == ("problem", "192.0.2.1 is no address of this machine")


@on_linux
def test_whoever_listens_is_found_by_this_process_too():
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = ports.listener(server.getsockname()[1])
    assert found is not None
    assert ports.listener(1) is None


# --- the clock -----------------------------------------------------------------------------------------


def newest_of_fixture():
    last = max(one["at"] for one in kept.seen(6)["views"]["history?limit=1000"]["items"])
    return datetime.fromisoformat(last)


@pytest.mark.parametrize(
    ("ahead", "level"),
    [(timedelta(days=1), {"ok", "warning"}), (timedelta(hours=-1), {"problem"})],
    ids=["after the last event", "before it"],
)
def test_a_clock_behind_the_newest_event_is_off(patient, look, ahead, level):
    now = newest_of_fixture() + ahead
    one = patient(now_s=now.timestamp)
    kept.build(6, one.database)
    ((found, said, _),) = look(clocks.check(one)).of("clock")
    assert found in level
    assert ("but the newest event happened at" in said) == (found == "problem")


def test_a_clock_before_the_program_was_written_is_off(patient, look):
    one = patient(now_s=lambda: 0.0)
    ((level, said, advice),) = look(clocks.check(one)).of("clock")
    assert level == "problem"
    assert said.startswith("it is 1970-01-01 00:00:00 UTC here")
    assert "chrony" in advice


@pytest.mark.parametrize(("kept_up", "level"), [(True, "ok"), (False, "warning"), (None, "ok")])
def test_a_clock_that_nobody_keeps_is_a_warning(patient, look, monkeypatch, kept_up, level):
    monkeypatch.setattr(clocks, "kept_in_step", lambda: kept_up)
    ((found, said, _),) = look(clocks.check(patient())).of("clock")
    assert found == level
    assert ("nobody keeps the clock" in said) == (level == "warning")


@on_linux
def test_the_system_is_asked_who_keeps_the_clock(monkeypatch, tmp_path):
    assert clocks.kept_in_step() in (True, False, None)
    (tmp_path / "synchronized").touch()
    monkeypatch.setattr(clocks, "SYNCHRONISED", tmp_path / "synchronized")
    assert clocks.kept_in_step() is True


# --- certificates --------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def http(pair):
    port = free_port()
    return f'[http]\nlisten = "127.0.0.1:{port}"\ntls_cert = "{pair.cert}"\ntls_key = "{pair.key}"\n'


@needs_openssl
@pytest.mark.parametrize(
    ("later", "level", "words"),
    [(0, "ok", "is good until"), (80, "warning", "expires on"), (101, "problem", "expired on")],
)
def test_a_certificate_is_judged_by_when_it_ends(patient, look, authority, later, level, words):
    pair = authority.issue("localhost", server=True, days=100)
    one = patient(http(pair), now_s=lambda: time.time() + later * 86_400)
    ((found, said, _),) = look(certificates.check(one)).of("certificate")
    assert found == level
    assert words in said
    assert "(http.tls_cert)" in said


@needs_openssl
def test_the_end_of_a_certificate_is_what_openssl_says(authority):
    pair = authority.issue("localhost", server=True, days=20_000)  # beyond 2049 it is written otherwise
    for cert in (pair.cert, authority.ca):
        said = subprocess.run(
            ["openssl", "x509", "-in", cert, "-noout", "-enddate"], capture_output=True, text=True, check=True
        ).stdout.strip()
        ends = datetime.strptime(said, "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        assert certificates.ends_s(certificates.der_of(cert)) == ends.timestamp()


@needs_openssl
def test_a_key_of_another_pair_is_a_problem(patient, look, authority):
    first, second = authority.issue("a", server=True), authority.issue("b", server=True)
    ((level, said, _),) = look(certificates.check(patient(http(first._replace(key=second.key))))).of(
        "certificate"
    )
    assert level == "problem"
    assert "does not belong to the certificate" in said


@needs_openssl
def test_what_is_no_certificate_is_a_problem(patient, look, authority):
    pair = authority.issue("a", server=True)
    pair.cert.write_text("nothing")
    assert look(certificates.check(patient(http(pair)))).levels("certificate") == [Level.PROBLEM]


@needs_openssl
def test_a_list_of_revocations_is_judged_by_when_a_newer_one_is_due(patient, look, authority):
    server, crl = authority.issue("localhost", server=True), authority.revocations(authority.issue("gone"))
    text = (
        f'[mqtt]\nlisten = "127.0.0.1:{free_port()}"\nsign_in = "on"\nlisten_tls_cert = "{server.cert}"\n'
        f'listen_tls_key = "{server.key}"\nlisten_client_ca = "{authority.ca}"\nlisten_client_crl = "{crl}"\n'
    )
    for later, level in ((0, "ok"), (6.5, "warning"), (8, "problem")):
        one = patient(text, now_s=lambda days=later: time.time() + days * 86_400)
        found, said, _ = look(certificates.check(one)).of("certificate")[1]
        assert (found, "(mqtt.listen_client_crl)" in said) == (level, True)
    crl.write_text("nothing")
    found, said, _ = look(certificates.check(patient(text))).of("certificate")[1]
    assert (found, "there is no X509 CRL in it" in said) == ("problem", True)


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x82\xff\xff", b"\x30\x03abc", bytes(100)])
def test_bytes_that_are_no_certificate_are_told_as_such(der):
    with pytest.raises(ValueError, match=r"not a certificate|time data|decode"):
        certificates.ends_s(der)


# --- people and system ---------------------------------------------------------------------------------


def test_whom_it_needs_is_read_from_a_database_at_rest(patient, look):
    one = patient()
    kept.build(6, one.database)
    found = look(people.check(one))
    assert found.of("operators") == [("ok", "2 can sign in", "")]
    assert found.of("cleanup") == [("ok", "on", "")]
    assert found.levels("alerts") == [Level.WARNING]


def test_without_operators_it_says_how_to_add_one(patient, look):
    one = patient()
    kept.build(2, one.database)
    ((level, _, advice),) = look(people.check(one)).of("operators")
    assert (level, advice.startswith("whosin operators add NAME")) == ("warning", True)


def test_a_channel_that_reaches_people_is_well(patient, look):
    text = '[alerts.channels.office]\nkind = "webhook"\nurl = "https://example.org/hook"\n'
    ((level, said, _),) = look(people.check(patient(text))).of("alerts")
    assert (level, said.startswith("by office")) == ("ok", True)


@on_linux
def test_too_few_open_files_for_the_connections_allowed_are_a_warning(patient, look):
    ((level, said, advice),) = look(system.check(patient("[limits]\nconnections = 90000000\n"))).of(
        "open files"
    )
    assert level == "warning"
    assert "limits.connections allows 90,000,000" in said
    assert "LimitNOFILE=90000200" in advice


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        ("LoadState=not-found\nActiveState=inactive\nUnitFileState=\n", "ok", "runs by hand"),
        ("LoadState=loaded\nActiveState=failed\nUnitFileState=enabled\n", "problem", "it failed"),
        ("LoadState=loaded\nActiveState=active\nUnitFileState=disabled\n", "warning", "does not start when"),
        ("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n", "ok", "installed and active"),
    ],
)
def test_what_systemd_says_of_the_service_is_told(look, monkeypatch, tmp_path, said, level, words):
    monkeypatch.setattr(system, "SYSTEMD", tmp_path)
    monkeypatch.setattr("shutil.which", lambda _: "systemctl")
    monkeypatch.setattr(system, "_said", lambda *_: said)
    ((found, told, _),) = look(system._systemd()).of("service")
    assert found == level
    assert words in told
