"""The service at Windows' service manager, as far as Wine cannot show it: against a typed fake of Windows."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from tests.service.fake_windows import PID, ended, fake, running
from whosin.errors import Refused, SettingsError
from whosin.service.manager import Wish
from whosin.service.windows import api as win
from whosin.service.windows import events, program
from whosin.service.windows.manager import WindowsManager
from whosin.service.windows.places import places, sid_of
from whosin.settings import load

ADMINISTRATORS = "S-1-5-32-544"


@pytest.fixture
def windows(tmp_path):
    return fake(tmp_path)


@pytest.fixture
def manager(windows):
    windows.services.starts = running
    return WindowsManager(api=windows.api)


def registered(windows, name="Whosin"):
    return windows.services.all[name]


class TestInstalling:
    def test_it_is_registered_with_an_account_of_its_own_and_starts_with_the_system(self, windows, manager):
        lines = manager.install(Wish())
        service = registered(windows)
        assert service.account == r"NT SERVICE\Whosin"
        assert service.start == win.AUTO_START
        assert service.config2[win.DELAYED_START] is True
        assert service.config2[win.SID_TYPE] == win.SID_UNRESTRICTED
        assert "It runs: ready." in lines
        assert windows.services.open == 0

    def test_after_a_failure_it_is_started_again_also_when_it_ended_with_an_exit_code(self, windows, manager):
        manager.install(Wish())
        assert registered(windows).config2[win.FAILURE_ACTIONS] == {
            "ResetPeriod": 86_400,
            "RebootMsg": "",
            "Command": "",
            "Actions": [(win.ACTION_RESTART, ms) for ms in (5_000, 30_000, 300_000)],
        }
        assert registered(windows).config2[win.FAILURE_FLAG] is True

    def test_a_machine_that_shuts_down_waits_longer_than_it_may_take(self, windows, manager):
        manager.install(Wish())
        assert registered(windows).config2[win.PRESHUTDOWN] > program.STOP_S * 1000

    def test_what_the_system_does_not_know_is_told_and_stops_nothing(self, windows, manager):
        windows.services.unknown = {win.DELAYED_START, win.SID_TYPE}
        assert "This system does not know: delayed start, SID." in manager.install(Wish())

    def test_the_program_is_the_python_itself_deaf_to_environment_and_folder(self, windows, manager):
        manager.install(Wish())
        program_line = registered(windows).binary
        assert "python.exe -I -B -X utf8 " in program_line.replace('"', "")
        assert "host.py" in program_line
        assert f"service run --name whosin --config {manager.config}" in program_line

    def test_parts_with_blanks_are_quoted(self, windows, manager):
        config = windows.system.root / "a folder" / "w.toml"
        assert f'--config "{config}"' in manager.preview(Wish(config))

    def test_its_event_source_needs_no_file_of_ours(self, windows, manager):
        manager.install(Wish())
        assert windows.system.sources == {"Whosin": r"%SystemRoot%\System32\EventCreate.exe"}

    def test_again_it_is_renewed_and_settings_stay(self, windows, manager):
        manager.install(Wish(start=False))
        manager.config.write_text("[http]\nlisten = 'off'\n")
        registered(windows).binary = "old"
        lines = manager.install(Wish(start=False))
        assert lines[0].startswith("Renewed")
        assert registered(windows).binary != "old"
        assert manager.config.read_text() == "[http]\nlisten = 'off'\n"

    def test_the_first_settings_are_accepted_and_say_where_data_and_log_lie(self, manager):
        manager.install(Wish(start=False))
        settings = load(manager.config, {})
        assert settings.daemon.data_dir == manager.data
        assert settings.log.file == manager.places.log

    def test_wrong_settings_are_refused_before_anything_is_registered(self, windows, manager, tmp_path):
        config = tmp_path / "w.toml"
        config.write_text("[mqtt]\nlisten = 5\n")
        with pytest.raises(SettingsError):
            manager.install(Wish(config))
        assert windows.services.all == {}

    def test_settings_that_are_named_and_missing_are_refused(self, manager, tmp_path):
        with pytest.raises(Refused, match="There is no"):
            manager.install(Wish(tmp_path / "none.toml"))

    def test_nothing_in_somebodys_profile_can_be_reached_by_the_service(self, windows, manager):
        config = windows.system.folder("UserProfiles") / "ann" / "w.toml"
        with pytest.raises(Refused, match="cannot read") as refused:
            manager.install(Wish(config))
        assert refused.value.code == "unreachable"

    def test_a_python_of_one_user_is_refused(self, windows, manager, monkeypatch):
        monkeypatch.setattr(
            sys, "base_prefix", str(windows.system.folder("UserProfiles") / "ann" / "Python311")
        )
        with pytest.raises(Refused, match="Install Python for all users"):
            manager.install(Wish())
        assert windows.services.all == {}

    def test_who_is_no_administrator_is_told(self, windows, manager):
        windows.services.deny = True
        with pytest.raises(Refused, match="Run as administrator"):
            manager.install(Wish())

    @pytest.mark.parametrize("user", ["LocalSystem", r"NT AUTHORITY\LocalService", "OFFICE\\whosin$"])
    def test_accounts_without_a_password_can_be_named(self, windows, manager, user):
        manager.install(Wish(user=user, start=False))
        assert registered(windows).account == user

    def test_an_account_with_a_password_is_refused_with_what_to_do(self, manager):
        with pytest.raises(Refused, match=r"services\.msc"):
            manager.install(Wish(user=r"OFFICE\ann"))

    def test_one_that_does_not_come_up_is_told_with_its_words(self, windows, manager):
        def fails(service):
            manager.places.state.write_text(json.dumps({"code": 2, "text": "mqtt.listen is 5"}))
            ended(service, 2)

        windows.services.starts = fails
        with pytest.raises(Refused, match=r"its settings are wrong: mqtt\.listen is 5"):
            manager.install(Wish())


class TestFolders:
    def test_others_have_no_rights_and_the_service_only_what_it_needs(self, windows, manager):
        manager.install(Wish(start=False))
        where, sid = manager.places, sid_of("Whosin")
        all_of_ours = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
        assert windows.system.rights == {
            where.root: (f"{all_of_ours}(A;;0x1200a9;;;{sid})", ADMINISTRATORS),
            where.config.parent: (f"{all_of_ours}(A;OICI;0x1200a9;;;{sid})", ADMINISTRATORS),
            where.data: (f"{all_of_ours}(A;OICI;0x1301bf;;;{sid})", ADMINISTRATORS),
            where.logs: (f"{all_of_ours}(A;OICI;0x1301bf;;;{sid})", ADMINISTRATORS),
        }

    def test_a_folder_that_somebody_else_put_there_is_refused(self, windows, manager):
        manager.places.root.mkdir()
        windows.system.owners[manager.places.root] = "S-1-5-21-1-2-3-1001"
        with pytest.raises(Refused, match="no administrator"):
            manager.install(Wish())
        assert windows.system.rights == {}

    def test_the_services_sid_is_made_as_windows_makes_it(self):
        installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
        assert sid_of("TrustedInstaller") == installer

    def test_each_service_has_places_of_its_own(self):
        one, other = places("whosin", Path("p")), places("Whosin-test", Path("p"))
        assert one.root.name == "Whosin"
        assert other.root.name == "Whosin-test"


class TestManaging:
    def test_what_is_not_installed(self, manager):
        assert manager.status().phase == "not installed"
        with pytest.raises(Refused, match="whosin service install"):
            manager.start()

    def test_its_own_words_are_shown_while_it_is_that_process(self, windows, manager):
        manager.install(Wish())
        told = {"pid": 4_711, "text": "3 active", "since": "2026-11-27T08:00:00.000Z"}
        manager.places.state.write_text(json.dumps(told))
        state = manager.status()
        assert (state.phase, state.text, state.pid, state.at_boot) == ("running", "3 active", 4_711, True)
        running(registered(windows), pid=5_000)
        assert manager.status().text == ""

    def test_anybody_may_look(self, windows, manager):
        manager.install(Wish())
        windows.services.deny = True
        assert manager.status().phase == "running"
        with pytest.raises(Refused, match="administrator"):
            manager.stop()

    @pytest.mark.parametrize(
        ("code", "why"), [(1, "it failed"), (2, "its settings are wrong"), (3, "it did not stop in time")]
    )
    def test_what_its_exit_code_means(self, windows, manager, code, why):
        manager.install(Wish())
        ended(registered(windows), code)
        state = manager.status()
        assert (state.phase, state.text) == ("failed", why)

    def test_a_process_that_is_gone_has_failed(self, windows, manager):
        manager.install(Wish())
        running(registered(windows), pid=0)
        assert manager.status().phase == "failed"

    def test_settings_elsewhere_are_named(self, windows, manager, tmp_path):
        config = tmp_path / "mine.toml"
        config.write_text("")
        manager.install(Wish(config, start=False))
        other = WindowsManager(api=windows.api)
        other.status()
        assert other.config == config

    def test_taken_away_its_data_stay(self, windows, manager):
        manager.install(Wish())
        lines = manager.uninstall(purge=False)
        assert windows.services.all == windows.system.sources == {}
        assert f"Kept: settings, data and logs in {manager.places.root}." in lines
        assert manager.places.root.exists()

    def test_purged_nothing_stays(self, manager):
        manager.install(Wish())
        manager.uninstall(purge=True)
        assert not manager.places.root.exists()

    def test_one_that_does_not_stop_stays(self, windows, manager, monkeypatch):
        monkeypatch.setattr("whosin.service.windows.manager.WAIT_S", 0)
        manager.install(Wish())
        windows.services.stops = lambda _service: None
        with pytest.raises(Refused, match="does not stop"):
            manager.uninstall(purge=True)
        assert "Whosin" in windows.services.all


class Life:
    """One life of the program; `daemon` stands for the daemon and is told who listens."""

    def __init__(self, windows, daemon, *, settings=""):
        self.windows = windows
        self.where = places("whosin", windows.system.folder("ProgramData"))
        for folder in (self.where.config.parent, self.where.data, self.where.logs):
            folder.mkdir(parents=True)
        self.where.config.write_text(settings)
        self.environ = {}
        program.host(windows.api, "whosin", self.where.config, daemon, self.environ)

    @property
    def states(self):
        return [status[1] for status in self.windows.services.said]

    @property
    def last(self):
        return self.windows.services.said[-1]

    @property
    def told(self):
        return json.loads(self.where.state.read_text())


class TestTheProgram:
    def test_it_says_running_when_the_daemon_is_ready_and_not_before(self, windows):
        def daemon(_settings, _config, manager):
            manager.attach(lambda: None, lambda: None)
            manager.starting("loading")
            manager.starting("blind")
            assert {status[1] for status in windows.services.said} == {win.START_PENDING}
            manager.ready("3 active")
            assert windows.services.said[-1][1] == win.RUNNING
            manager.stopping()
            return 0

        life = Life(windows, daemon)
        assert life.states == [win.START_PENDING] * 3 + [win.RUNNING, win.STOP_PENDING, win.STOPPED]
        checkpoints = [status[5] for status in windows.services.said]
        assert checkpoints[:3] == [1, 2, 3]  # else it would be taken for hung
        assert windows.system.ended == [0]
        assert windows.system.dialogs is False

    def test_it_takes_stop_preshutdown_and_paramchange(self, windows):
        Life(windows, lambda _settings, _config, manager: manager.ready("") or 0)
        accepted = next(status[2] for status in windows.services.said if status[1] == win.RUNNING)
        assert accepted == win.ACCEPT_STOP | win.ACCEPT_PRESHUTDOWN | win.ACCEPT_PARAMCHANGE

    @pytest.mark.parametrize("control", [win.CONTROL_STOP, win.CONTROL_PRESHUTDOWN, win.CONTROL_SHUTDOWN])
    def test_each_of_these_stops_it_once(self, windows, control):
        stopped = []

        def daemon(_settings, _config, manager):
            manager.attach(lambda: stopped.append(1), lambda: None)
            manager.ready("")
            windows.host.control(control)
            windows.host.control(control)
            manager.ready("")  # too late to be running again
            return 0

        life = Life(windows, daemon)
        assert stopped == [1]
        assert life.states[-2:] == [win.STOP_PENDING, win.STOPPED]
        assert windows.services.said[-2][6] == program.STOP_S * 1000
        assert windows.services.said[-2][2] == 0

    def test_an_order_to_stop_that_comes_before_the_daemon_can_hear_it_is_kept(self, windows):
        stopped = []

        def daemon(_settings, _config, manager):
            windows.host.control(win.CONTROL_STOP)
            manager.attach(lambda: stopped.append(1), lambda: None)
            return 0

        Life(windows, daemon)
        assert stopped == [1]

    def test_what_does_not_stop_in_time_is_ended(self, windows, monkeypatch):
        monkeypatch.setattr(program, "STOP_S", 1.01)
        gone = threading.Event()
        windows.system.end = lambda code: (windows.system.ended.append(code), gone.set())

        def daemon(_settings, _config, manager):
            manager.attach(lambda: None, lambda: None)
            windows.host.control(win.CONTROL_STOP)
            assert gone.wait(30)
            return 0

        Life(windows, daemon)
        assert windows.system.ended[0] == program.NOT_STOPPED
        stopped = [status for status in windows.services.said if status[1] == win.STOPPED]
        assert [status[3:5] for status in stopped] == [(win.SPECIFIC, program.NOT_STOPPED)]
        assert "did not stop" in windows.events.written[0][3]

    def test_paramchange_reloads(self, windows):
        reloaded = []

        def daemon(_settings, _config, manager):
            manager.attach(lambda: None, lambda: reloaded.append(1))
            windows.host.control(win.CONTROL_PARAMCHANGE)
            return 0

        Life(windows, daemon)
        assert reloaded == [1]

    def test_asked_for_its_state_it_says_it_again(self, windows):
        def daemon(_settings, _config, manager):
            manager.ready("")
            windows.host.control(win.CONTROL_INTERROGATE)
            return 0

        assert Life(windows, daemon).states.count(win.RUNNING) == 2

    def test_wrong_settings_have_an_exit_code_of_their_own(self, windows):
        life = Life(windows, lambda *_: pytest.fail("it must not run"), settings="[mqtt]\nlisten = 5\n")
        assert life.last[3:5] == (win.SPECIFIC, program.WRONG_SETTINGS)
        assert life.told["code"] == program.WRONG_SETTINGS
        assert "mqtt.listen is 5" in life.told["text"]

    def test_so_has_a_daemon_that_could_not_start(self, windows):
        def daemon(_settings, _config, manager):
            manager.failed("cannot start: the port is taken")
            return 1

        life = Life(windows, daemon)
        assert life.last[3:5] == (win.SPECIFIC, program.FAILED)
        assert life.told["text"] == "cannot start: the port is taken"

    def test_whatever_it_dies_of_the_manager_hears_it(self, windows):
        def daemon(*_):
            raise RuntimeError("a bug")

        life = Life(windows, daemon)
        assert life.last[3:5] == (win.SPECIFIC, program.FAILED)
        assert "RuntimeError: a bug" in windows.events.written[-1][3]

    def test_data_and_log_lie_in_its_folders_unless_set(self, windows):
        found = []
        Life(windows, lambda settings, *_: found.append(settings) or 0)
        (settings,) = found
        where = places("whosin", windows.system.folder("ProgramData"))
        assert settings.daemon.data_dir == where.data
        assert settings.log.file == where.log

    def test_a_log_that_is_set_stays_where_it_is_set(self, windows, tmp_path):
        found = []
        file = tmp_path / "mine.log"
        Life(windows, lambda settings, *_: found.append(settings) or 0, settings=f"[log]\nfile = '{file}'\n")
        assert found[0].log.file == file

    def test_typed_by_somebody_it_says_what_to_use_instead(self, windows):
        windows.host.started_by_manager = False
        with pytest.raises(Refused, match="whosin service start"):
            Life(windows, lambda *_: 0)

    def test_its_words_are_kept_for_who_looks(self, windows):
        seen = []

        def daemon(_settings, _config, manager):
            manager.starting("blind: the broker is away")
            state = places("whosin", windows.system.folder("ProgramData")).state
            seen.append(json.loads(state.read_text()))
            manager.ready("3 active")
            manager.alive("4 active")
            seen.append(json.loads(state.read_text()))
            return 0

        Life(windows, daemon)
        assert (seen[0]["pid"], seen[0]["phase"], seen[0]["text"]) == (
            PID,
            "starting",
            "blind: the broker is away",
        )
        assert (seen[1]["phase"], seen[1]["text"]) == ("running", "4 active")
        assert seen[1]["since"]


class TestTheEventLog:
    def test_start_and_stop_are_in_it_and_nothing_else(self, windows):
        def daemon(_settings, _config, manager):
            for _ in range(3):
                manager.starting("loading")
                manager.ready("3 active")
                manager.alive("4 active")
            return 0

        Life(windows, daemon)
        assert windows.events.written == [
            ("Whosin", win.EVENT_INFORMATION, events.STARTED, "Whosin is ready: 3 active"),
            ("Whosin", win.EVENT_INFORMATION, events.ENDED, "Whosin has stopped."),
        ]

    def test_an_end_by_failure_is_one_error(self, windows):
        Life(windows, lambda *_: 0, settings="nonsense")
        ((source, kind, number, text),) = windows.events.written
        assert (source, kind, number) == ("Whosin", win.EVENT_ERROR, events.FATAL)
        assert "whosin.toml" in text

    def test_numbers_fit_the_systems_own_message_file(self):
        assert {events.STARTED, events.ENDED, events.FATAL} <= set(range(1, 1_001))

    def test_one_that_is_full_stops_nothing(self, windows):
        windows.events.full = True
        life = Life(windows, lambda _settings, _config, manager: manager.ready("") or 0)
        assert life.states[-1] == win.STOPPED

    def test_a_long_text_is_cut(self, windows):
        events.report(windows.api, "Whosin", events.FATAL, "x" * 100_000)
        assert len(windows.events.written[0][3]) < 31_839
