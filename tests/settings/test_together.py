"""Values that do not go together are refused, and both are named."""

from __future__ import annotations

import os

import pytest

from tests.settings.helpers import problem, problems, read
from whosin.settings import Address


@pytest.fixture
def pem(tmp_path):
    for name in ("cert.pem", "key.pem", "password"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)


class TestPatience:
    @pytest.mark.parametrize(("grace", "fits"), [(59.999, False), (60, False), (60.001, True)])
    def test_the_grace_of_a_lost_connection_is_longer_than_a_heartbeat(self, tmp_path, grace, fits):
        text = f"client_types.kiosk.lost_grace_s = {grace}"
        if fits:
            assert read(tmp_path, text).client_types["kiosk"].lost_grace_s == grace
        else:
            assert problem(tmp_path, text) == (
                f"whosin.toml: client_types.kiosk.lost_grace_s is {grace} and heartbeat_every_s is 60; "
                "expected lost_grace_s to be more than 60"
            )

    @pytest.mark.parametrize(("timeout", "fits"), [(119.999, False), (120, True)])
    def test_the_timeout_spans_two_heartbeats(self, tmp_path, timeout, fits):
        text = f"client_types.kiosk.timeout_s = {timeout}"
        if fits:
            assert read(tmp_path, text).client_types["kiosk"].timeout_s == timeout
        else:
            assert problem(tmp_path, text) == (
                f"whosin.toml: client_types.kiosk.timeout_s is {timeout} and heartbeat_every_s is 60; "
                "expected timeout_s to be at least 120, twice heartbeat_every_s"
            )

    def test_a_new_default_is_checked_for_each_type_that_it_serves(self, tmp_path):
        found = problems(tmp_path, "[client_types.default]\ntimeout_s = 100\n[client_types.kiosk]")
        assert [sentence.split(" is ")[0].split(": ")[1] for sentence in found] == [
            "client_types.default.timeout_s",
            "client_types.kiosk.timeout_s",
        ]


class TestClientTypes:
    def test_a_new_type_inherits_what_it_leaves_out_from_default(self, tmp_path):
        types = read(
            tmp_path, "[client_types.default]\ntimeout_s = 500\n[client_types.kiosk]\nidle_limit_s = 60"
        ).client_types
        assert (types["kiosk"].timeout_s, types["kiosk"].idle_limit_s, types["kiosk"].lost_grace_s) == (
            500,
            60,
            75,
        )

    def test_desktop_and_web_keep_their_own_defaults(self, tmp_path):
        types = read(
            tmp_path, "[client_types.default]\ntimeout_s = 500\n[client_types.web]\nidle_limit_s = 60"
        ).client_types
        assert (types["desktop"].timeout_s, types["web"].timeout_s, types["web"].idle_limit_s) == (
            300,
            1200,
            60,
        )

    def test_types_of_the_environment_are_types_like_others(self, tmp_path):
        settings = read(tmp_path, "", WHOSIN_CLIENT_TYPES__MY__KIOSK__IDLE_ACTION="disconnect")
        assert settings.policy().types["my__kiosk"].idle_disconnects is True

    @pytest.mark.parametrize(("length", "fits"), [(32, True), (33, False)])
    def test_names_have_a_bound(self, tmp_path, length, fits):
        text = f"[client_types.{'k' * length}]"
        if fits:
            assert "k" * length in read(tmp_path, text).client_types
        else:
            assert "is not a name for a client type" in problem(tmp_path, text)

    def test_what_is_more_than_no_time_stays_so_in_the_rules(self, tmp_path):
        kind = "{timeout_s = 0.0002, heartbeat_every_s = 0.0001, lost_grace_s = 0.0002}"
        assert read(tmp_path, f"client_types.k = {kind}").policy().types["k"].timeout_ms == 1


class TestDoorAndLink:
    def test_a_broker_turns_the_door_off_unless_it_is_asked_for(self, tmp_path):
        assert read(tmp_path, 'mqtt.url = "mqtt://b"').mqtt.listen is None
        both = read(tmp_path, 'mqtt.url = "mqtt://b"\nmqtt.listen = "127.0.0.1:1884"')
        assert both.mqtt.listen == Address("127.0.0.1", 1884)

    @pytest.mark.parametrize("off", ["off", ""])
    def test_somebody_must_be_heard(self, tmp_path, off):
        assert problem(tmp_path, f'mqtt.listen = "{off}"') == (
            "whosin.toml: mqtt.listen is off and mqtt.url is not set, so nobody is heard; "
            "expected one of them"
        )
        assert read(tmp_path, f'mqtt.listen = "{off}"\nmqtt.url = "mqtt://b"').mqtt.listen is None

    @pytest.mark.parametrize(
        ("listen", "sign_in", "asked"),
        [
            ("127.0.0.1:1883", "auto", False),
            ("127.0.0.1:1883", "off", False),
            ("127.0.0.1:1883", "on", True),
            ("0.0.0.0:1883", "auto", True),
            ("0.0.0.0:1883", "on", True),
        ],
    )
    def test_sign_in_is_asked_for_where_others_can_reach_the_door(self, tmp_path, listen, sign_in, asked):
        settings = read(tmp_path, f'[mqtt]\nlisten = "{listen}"\nsign_in = "{sign_in}"')
        assert settings.sign_in is asked
        assert settings.limits.messages_per_s == (1000 if asked else 0)

    def test_and_cannot_be_turned_off_there(self, tmp_path):
        assert problem(tmp_path, '[mqtt]\nlisten = "0.0.0.0:1883"\nsign_in = "off"') == (
            'whosin.toml: mqtt.sign_in is "off" and mqtt.listen is 0.0.0.0:1883, which others can reach; '
            'expected "auto" or "on", or mqtt.listen on loopback'
        )

    @pytest.mark.usefixtures("pem")
    def test_certificates_and_keys_come_in_pairs(self, tmp_path):
        for text, found in (
            (
                'mqtt.listen_tls_cert = "cert.pem"',
                "mqtt.listen_tls_cert is set and mqtt.listen_tls_key is not",
            ),
            ('mqtt.listen_tls_key = "key.pem"', "mqtt.listen_tls_key is set and mqtt.listen_tls_cert is not"),
            (
                '[mqtt]\nurl = "mqtts://b"\ncert_file = "cert.pem"',
                "mqtt.cert_file is set and mqtt.key_file is not",
            ),
            ('http.tls_cert = "cert.pem"', "http.tls_cert is set and http.tls_key is not"),
        ):
            assert problem(tmp_path, text) == f"whosin.toml: {found}; expected both or neither"

    @pytest.mark.usefixtures("pem")
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('listen_client_ca = "cert.pem"', "mqtt.listen_client_ca is set and mqtt.listen_tls_cert is not"),
            ('listen_client_crl = "cert.pem"', "listen_client_crl is set and mqtt.listen_client_ca is not"),
            (
                'listen_client_cert = "required"',
                'mqtt.listen_client_cert is "required" and mqtt.listen_client_ca is not set',
            ),
            (
                'listen_client_ca = "cert.pem"\nlisten_tls_cert = "cert.pem"\nlisten_tls_key = "key.pem"',
                "mqtt.listen_client_ca is set and sign-in is off at mqtt.listen 127.0.0.1:1883",
            ),
        ],
    )
    def test_certificates_of_clients_need_tls_and_sign_in(self, tmp_path, text, found):
        assert found in problem(tmp_path, f"[mqtt]\n{text}")

    @pytest.mark.usefixtures("pem")
    def test_certificates_of_clients_go_with_a_door_for_others(self, tmp_path):
        text = (
            '[mqtt]\nlisten = "0.0.0.0:8883"\nlisten_tls_cert = "cert.pem"\nlisten_tls_key = "key.pem"\n'
            'listen_client_ca = "cert.pem"\nlisten_client_crl = "cert.pem"\nlisten_client_cert = "required"'
        )
        settings = read(tmp_path, text)
        assert settings.mqtt.listen_client_cert == "required"
        assert settings.warnings() == []

    @pytest.mark.usefixtures("pem")
    def test_what_belongs_to_the_link_needs_a_broker(self, tmp_path):
        found = problem(tmp_path, 'mqtt.username = "whosin"')
        wanted = "expected the broker's address in mqtt.url"
        assert found == f"whosin.toml: mqtt.username is set and mqtt.url is not; {wanted}"

    @pytest.mark.usefixtures("pem")
    def test_certificates_at_the_broker_need_tls(self, tmp_path):
        found = problem(tmp_path, '[mqtt]\nurl = "mqtt://b"\nca_file = "cert.pem"')
        assert (
            found
            == "whosin.toml: mqtt.ca_file is set and mqtt.url is mqtt://b:1883; expected mqtts:// in mqtt.url"
        )

    @pytest.mark.usefixtures("pem")
    def test_a_password_needs_a_name_and_no_tls(self, tmp_path):
        text = '[mqtt]\nurl = "mqtt://b"\npassword_file = "password"'
        assert "mqtt.password_file is set and mqtt.username is not" in problem(tmp_path, text)
        assert read(tmp_path, f'{text}\nusername = "w"').mqtt.username == "w"

    @pytest.mark.usefixtures("pem")
    def test_the_doors_certificate_needs_a_door(self, tmp_path):
        text = '[mqtt]\nurl = "mqtt://b"\nlisten_tls_cert = "cert.pem"\nlisten_tls_key = "key.pem"'
        assert len(problems(tmp_path, text)) == 2


class TestPage:
    def test_others_can_reach_the_page_only_by_tls_or_a_proxy(self, tmp_path, pem):
        far = 'http.listen = "0.0.0.0:8787"\n'
        assert problem(tmp_path, far).startswith(
            "whosin.toml: http.listen is 0.0.0.0:8787, which others can reach, without TLS; expected"
        )
        assert read(tmp_path, f"{far}http.behind_proxy = true").api_url == "http://127.0.0.1:8787"
        tls = read(tmp_path, f'{far}http.tls_cert = "cert.pem"\nhttp.tls_key = "key.pem"')
        assert tls.api_url == "https://127.0.0.1:8787"

    def test_it_can_be_off(self, tmp_path):
        settings = read(tmp_path, 'http.listen = "off"')
        assert settings.http.listen is None
        assert settings.api_url is None

    def test_door_and_page_cannot_share_an_address(self, tmp_path):
        assert "are both 127.0.0.1:1883" in problem(tmp_path, 'http.listen = "127.0.0.1:1883"')
        free = read(tmp_path, 'http.listen = "127.0.0.1:0"\nmqtt.listen = "127.0.0.1:0"')
        assert free.http.listen == free.mqtt.listen


class TestWarnings:
    def test_sign_in_off_is_warned_of(self, tmp_path):
        (warning,) = read(tmp_path, "").warnings()
        assert warning.startswith("sign-in is off")
        assert read(tmp_path, 'mqtt.sign_in = "on"').warnings() == []

    def test_passwords_in_clear_are_warned_of(self, tmp_path, pem):
        assert "without listen_tls_cert" in read(tmp_path, 'mqtt.listen = "0.0.0.0:1883"').warnings()[0]
        link = '[mqtt]\nurl = "mqtt://{}"\nusername = "w"\npassword_file = "password"'
        assert "without TLS" in read(tmp_path, link.format("b")).warnings()[0]
        assert read(tmp_path, link.format("localhost")).warnings() == []

    @pytest.mark.skipif(os.name != "posix", reason="modes of files are another matter there")
    def test_secrets_that_everybody_can_read_are_warned_of(self, tmp_path, pem):
        text = (
            '[http]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n[mqtt]\nurl = "mqtts://b"\nusername = "w"\n'
            'cert_file = "cert.pem"\nkey_file = "key.pem"\npassword_file = "password"'
        )
        for name in ("cert.pem", "password"):
            (tmp_path / name).chmod(0o644)
        (warning,) = read(tmp_path, text).warnings()
        assert warning.endswith("/password can be read by everybody on this machine: chmod 600")
        (tmp_path / "key.pem").chmod(0o604)
        assert [one.split(" ")[0] for one in read(tmp_path, text).warnings()] == [
            "mqtt.key_file", "mqtt.password_file", "http.tls_key",
        ]  # fmt: skip

    def test_a_page_for_all_without_host_names_is_warned_of(self, tmp_path):
        text = '[http]\nlisten = "[::]:80"\nbehind_proxy = true\n{}[mqtt]\nsign_in = "on"'
        assert "allowed_hosts is empty" in read(tmp_path, text.format("")).warnings()[0]
        assert read(tmp_path, text.format('allowed_hosts = ["w.example"]\n')).warnings() == []
