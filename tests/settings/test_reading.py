"""Values are found in the file and in the environment, and wrong ones are told in full sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.helpers import ENVIRON, problem, problems, read
from whosin.errors import SettingsError
from whosin.settings import Address, Broker, load


def test_the_environment_wins_over_the_file_key_by_key(tmp_path):
    settings = read(tmp_path, "watch.tick_s = 0.5\nwatch.regain_grace_s = 60", WHOSIN_WATCH__TICK_S="0.1")
    assert (settings.watch.tick_s, settings.watch.regain_grace_s) == (0.1, 60)


def test_every_value_says_where_it_came_from(tmp_path):
    settings = read(tmp_path, "watch.tick_s = 0.5", WHOSIN_LOG__LEVEL="debug")
    origins = {key: origin for key, _, origin in settings.describe()}
    assert origins["watch.tick_s"] == str(tmp_path / "whosin.toml")
    assert origins["log.level"] == "WHOSIN_LOG__LEVEL"
    assert origins["log.format"] == "default"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf[watch]\r\ntick_s = 0.5\r\n").watch.tick_s == 0.5


def test_variables_are_read_by_the_kind_of_their_key(tmp_path):
    settings = load(
        None,
        {
            **ENVIRON,
            "WHOSIN_HTTP__BEHIND_PROXY": "True",
            "WHOSIN_HTTP__LISTEN": "0.0.0.0:80",
            "WHOSIN_HTTP__ALLOWED_HOSTS": "a.example, b.example,",
            "WHOSIN_STORE__HISTORY_DAYS": "30",
            "WHOSIN_MQTT__URL": "mqtts://broker.example",
            "WHOSIN_CLIENT_TYPES__KIOSK__TIMEOUT_S": "200.5",
        },
    )
    assert settings.http.behind_proxy is True
    assert settings.http.listen == Address("0.0.0.0", 80)
    assert settings.http.allowed_hosts == ("a.example", "b.example")
    assert settings.store.history_days == 30
    assert settings.mqtt.url == Broker("broker.example", 8883, tls=True)
    assert settings.client_types["kiosk"].timeout_s == 200.5


@pytest.mark.parametrize(
    ("word", "value"), [("yes", True), ("1", True), ("On", True), ("no", False), ("0", False)]
)
def test_variables_say_yes_and_no_in_several_words(word, value):
    assert load(None, {**ENVIRON, "WHOSIN_CLEANUP__ENABLED": word}).cleanup.enabled is value


def test_variables_that_say_neither_are_refused(tmp_path):
    found = problem(tmp_path, "", WHOSIN_CLEANUP__ENABLED="maybe")
    assert found == 'WHOSIN_CLEANUP__ENABLED: cleanup.enabled is "maybe"; expected true or false'


def test_variables_in_small_letters_count_too():
    assert load(None, {**ENVIRON, "whosin_log__level": "error"}).log.level == "error"


def test_the_same_variable_in_two_spellings_is_refused():
    environ = {**ENVIRON, "whosin_log__level": "error", "WHOSIN_LOG__LEVEL": "info"}
    with pytest.raises(
        SettingsError, match=r"log\.level is set by WHOSIN_LOG__LEVEL too; expected one of them"
    ):
        load(None, environ)


@pytest.mark.parametrize(
    "name", ["WHOSIN_URL", "WHOSIN_TOKEN", "WHOSIN_PORT", "WHOSIN_SERVICE_PORT_HTTP", "WHOSIN_PORT_8787_TCP"]
)
def test_variables_that_are_no_settings_are_left_alone(name):
    load(None, {**ENVIRON, name: "tcp://10.0.0.1:8787"})


class TestSentences:
    """One for each way to be wrong; each names the source, the key, what was found and what is allowed."""

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("client_types.kiosk.timeout_s = -5", "client_types.kiosk.timeout_s is -5; expected more than 0"),
            (
                "client_types.web.timeout_s = true",
                "client_types.web.timeout_s is true; expected a number of seconds, more than 0",
            ),
            (
                "watch.regain_grace_s = nan",
                "watch.regain_grace_s is nan; expected a number of seconds, more than 0",
            ),
            (
                "watch.regain_grace_s = inf",
                "watch.regain_grace_s is inf; expected a number of seconds, more than 0",
            ),
            (
                "watch.regain_grace_s = 1e9",
                "watch.regain_grace_s is 1000000000.0; expected at most 100000000",
            ),
            ("watch.tick_s = 2", "watch.tick_s is 2; expected 0.01 to 1"),
            ('watch.tick_s = "fast"', 'watch.tick_s is "fast"; expected a number of seconds, 0.01 to 1'),
            ("mass_silence.share = 1.5", "mass_silence.share is 1.5; expected more than 0, at most 1"),
            ("mass_silence.min = 2.5", "mass_silence.min is 2.5; expected a whole number, 1 or more"),
            ("limits.sessions = 0", "limits.sessions is 0; expected 1 or more"),
            ('cleanup.enabled = "yes"', 'cleanup.enabled is "yes"; expected true or false'),
            ('log.level = "trace"', 'log.level is "trace"; expected "debug", "info", "warning" or "error"'),
            ('daemon.name = "a b"', 'daemon.name is "a b"; expected 1 to 64 letters, digits or ._~:-'),
            (
                "daemon.name = 1979-05-27",
                "daemon.name is 1979-05-27; expected 1 to 64 letters, digits or ._~:-",
            ),
            (
                'http.allowed_hosts = "a"',
                'http.allowed_hosts is "a"; expected a list of host names without port',
            ),
            (
                'http.allowed_hosts = ["a:1"]',
                'http.allowed_hosts is ["a:1"]; expected a list of host names without port',
            ),
            ("mqtt.password_file = {}", "mqtt.password_file is a table; expected a readable file"),
            ("mqtt = 5", "mqtt is 5; expected a section, as in [mqtt]"),
            ("[[mqtt]]", "mqtt is [a table]; expected a section, as in [mqtt]"),
            (
                "client_types.timeout_s = 5",
                "client_types.timeout_s is 5; expected a section, as in [client_types.desktop]",
            ),
            (
                "[client_types.Kiosk]",
                "client_types.Kiosk is not a name for a client type; expected 1 to 32 of a-z, 0-9, _ and -",
            ),
        ],
    )
    def test_of_a_wrong_value(self, tmp_path, text, sentence):
        assert problem(tmp_path, text) == f"whosin.toml: {sentence}"

    def test_of_a_wrong_variable(self, tmp_path):
        assert (
            problem(tmp_path, "", WHOSIN_WATCH__TICK_S="5")
            == "WHOSIN_WATCH__TICK_S: watch.tick_s is 5; expected 0.01 to 1"
        )
        expected = 'WHOSIN_WATCH__TICK_S: watch.tick_s is "x"; expected a number of seconds, 0.01 to 1'
        assert problem(tmp_path, "", WHOSIN_WATCH__TICK_S="x") == expected

    def test_of_a_missing_file_that_is_named(self, tmp_path):
        found = problem(tmp_path, '[mqtt]\nurl = "mqtts://b"\nca_file = "ca.pem"')
        assert found == 'whosin.toml: mqtt.ca_file is "ca.pem"; none is at ca.pem, expected a readable file'

    def test_of_credentials_in_an_address_hides_them(self, tmp_path):
        found = problem(tmp_path, 'mqtt.url = "mqtt://jane:geheim@broker"')
        assert "geheim" not in found
        assert "jane" not in found
        assert "user and password go into mqtt.username and mqtt.password_file" in found

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (
                "directory.enabled = true",
                "directory.enabled is true; not available in this version, expected false",
            ),
            ('seats.mode = "warn"', 'seats.mode is "warn"; not available in this version, expected "off"'),
            (
                "shared_account.machines = 3",
                "shared_account.machines is 3; not available in this version, expected 2",
            ),
            ("directory.enabled = 1", "directory.enabled is 1; expected true or false"),
        ],
    )
    def test_of_what_is_not_built_yet(self, tmp_path, text, sentence):
        assert problem(tmp_path, text) == f"whosin.toml: {sentence}"

    def test_of_postgresql_which_is_not_built_yet(self, tmp_path):
        found = problem(tmp_path, 'store.url = "postgresql://bob:geheim@db/whosin"')
        assert found.startswith(
            'whosin.toml: store.url is "postgresql://***@db/whosin"; not available in this version'
        )


class TestNearestNames:
    def test_of_a_section(self, tmp_path):
        found = problem(tmp_path, "[clinet_types.kiosk]")
        assert found.startswith(
            "whosin.toml: clinet_types is not a section; expected one of alerts, cleanup, "
        )
        assert found.endswith("; did you mean client_types?")

    def test_of_a_key(self, tmp_path):
        found = problem(tmp_path, "client_types.kiosk.timeout = 5")
        assert found == (
            "whosin.toml: client_types.kiosk.timeout is not a setting; expected one of heartbeat_every_s, "
            "idle_action, idle_limit_s, lost_grace_s, timeout_s; did you mean client_types.kiosk.timeout_s?"
        )

    def test_of_a_key_of_another_section(self, tmp_path):
        assert problem(tmp_path, "daemon.flush_s = 5").endswith("did you mean store.flush_s?")

    def test_of_a_key_without_a_section(self, tmp_path):
        assert problem(tmp_path, "flush_s = 5").endswith("did you mean store.flush_s?")

    def test_of_a_key_that_resembles_nothing(self, tmp_path):
        assert problem(tmp_path, "watch.qqq = 5") == (
            "whosin.toml: watch.qqq is not a setting; expected one of regain_grace_s, tick_s"
        )

    @pytest.mark.parametrize(
        ("variable", "near"),
        [
            ("WHOSIN_MQT__URL", "WHOSIN_MQTT__URL"),
            ("WHOSIN_MQTT_URL", "WHOSIN_MQTT__URL"),
            ("WHOSIN_MQTT__URLS", "WHOSIN_MQTT__URL"),
            ("WHOSIN_CLIENT_TYPES__DESKTOP__TIMEOUT", "WHOSIN_CLIENT_TYPES__DESKTOP__TIMEOUT_S"),
            ("WHOSIN_CLIENT_TYPES__TIMEOUT_S", "WHOSIN_CLIENT_TYPES__WEB__TIMEOUT_S"),
            ("WHOSIN_TOKENS", "WHOSIN_TOKEN"),
        ],
    )
    def test_of_a_variable(self, tmp_path, variable, near):
        found = problem(tmp_path, "", **{variable: "1"})
        assert (
            found
            == f"{variable}: there is no such setting; expected WHOSIN_SECTION__KEY; did you mean {near}?"
        )

    def test_of_a_variable_that_resembles_nothing(self, tmp_path):
        assert (
            problem(tmp_path, "", WHOSIN_="1")
            == "WHOSIN_: there is no such setting; expected WHOSIN_SECTION__KEY"
        )

    def test_names_that_could_colour_a_terminal_are_escaped(self, tmp_path):
        found = problem(tmp_path, '"\\u001b[31mred" = 1')
        assert "\x1b" not in found
        assert "\\u001b[31mred" in found


class TestTheFileItself:
    def test_a_syntax_error_names_line_and_column(self, tmp_path):
        found = problem(tmp_path, "[watch]\ntick_s = = 1\n")
        assert found.startswith("whosin.toml: line 2, column 10: ")

    def test_a_syntax_error_at_the_end_names_the_last_line(self, tmp_path):
        assert problem(tmp_path, "[watch]\nname = [1,").startswith("whosin.toml: line 2, column ")

    def test_what_is_not_utf_8_names_line_and_column(self, tmp_path):
        assert (
            problem(tmp_path, b"[watch]\n# \xfc\n")
            == "whosin.toml: line 2, column 3: byte 0xfc; expected UTF-8"
        )

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(SettingsError) as refused:
            load(tmp_path / "no.toml", ENVIRON)
        assert refused.value.problems == [
            f"{tmp_path}/no.toml: cannot be read: No such file or directory; expected a readable file"
        ]

    def test_a_folder_is_not_a_file(self, tmp_path):
        with pytest.raises(SettingsError, match="cannot be read"):
            load(tmp_path, ENVIRON)

    @pytest.mark.parametrize("text", ["watch.tick_s = " + "[" * 2000, "watch.tick_s = " + "9" * 5000])
    def test_monstrous_values_are_refused_and_no_more(self, tmp_path, text):
        assert len(problem(tmp_path, text)) < 400


def test_all_problems_are_told_at_once(tmp_path):
    found = problems(
        tmp_path,
        "[watch]\ntick_s = 5\nzzz = 1\n[client_types.kiosk]\nlost_grace_s = 60\n[nowhere]\n"
        '[http]\nlisten = "0.0.0.0:80"',
        WHOSIN_LOG__LEVEL="loud",
        WHOSIN_NO__WHERE="1",
    )
    assert len(found) == 7


def test_a_broken_value_is_not_blamed_twice(tmp_path):
    (only,) = problems(tmp_path, "client_types.kiosk.timeout_s = 1\nclient_types.kiosk.heartbeat_every_s = 0")
    assert only == "whosin.toml: client_types.kiosk.heartbeat_every_s is 0; expected more than 0"


def test_relative_paths_start_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ca.pem").write_text("x")
    settings = read(tmp_path, '[mqtt]\nurl = "mqtts://b"\nca_file = "sub/ca.pem"\n[log]\nfile = "w.log"')
    assert settings.mqtt.ca_file == tmp_path / "sub" / "ca.pem"
    assert settings.log.file == tmp_path / "w.log"


def test_relative_paths_of_variables_start_from_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load(None, {**ENVIRON, "WHOSIN_LOG__FILE": "w.log"}).log.file == tmp_path / "w.log"


def test_the_password_at_the_broker_is_the_files_first_line(tmp_path):
    file = tmp_path / "password"
    file.write_bytes("geheim ü\r\nmore\n".encode())
    settings = read(
        tmp_path, '[mqtt]\nurl = "mqtt://localhost"\nusername = "whosin"\npassword_file = "password"'
    )
    assert settings.mqtt_password() == "geheim ü"
    file.write_text("new")
    assert settings.mqtt_password() == "new"
    assert "geheim" not in str(settings.describe())


def test_without_a_password_file_there_is_no_password():
    assert load(None, ENVIRON).mqtt_password() is None


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///other.db", "/data/other.db"), ("sqlite:////srv/w.db", "/srv/w.db"), ("", "/data/whosin.db")],
)
def test_the_database_is_relative_to_the_data_folder_or_absolute(tmp_path, url, path):
    settings = read(tmp_path, f'daemon.data_dir = "/data"\nstore.url = "{url}"')
    assert settings.database == Path(path)
