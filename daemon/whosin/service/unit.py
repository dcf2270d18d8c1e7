"""The unit for systemd, as text. `python -m whosin.service.unit` prints systemd/whosin.service, as it ships.

Owns what the service may do and what is closed to it, each opening with its reason. Must not know how a unit
gets into its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WATCHDOG_S = 30
STOP_S = 20

_HEAD = """# Whosin under systemd: a user of its own, a folder of its own, and nothing else.
#
# `whosin service install` writes this file, fitted to the machine. By hand: install the program into
# /opt/whosin (python3 -m venv /opt/whosin && /opt/whosin/bin/pip install whosin), copy this file to
# /etc/systemd/system/ and config/whosin.toml to /etc/whosin/ (every line in it is a default), then:
#     systemctl daemon-reload && systemctl enable --now whosin
# Data and the administrator's token lie in {data}. Changes of your own: `systemctl edit {name}`.
"""

_UNIT = """
[Unit]
Description=Whosin: who is in, who fell out, and what they still lock
Wants=network-online.target
After=network-online.target time-sync.target
# It is wanted whatever happens: a disk that is full for an hour must not end it for good.
StartLimitIntervalSec=0
"""

_SERVICE = """
[Service]
# Ready once it sees and stores; until then it says why not (`systemctl status {name}`).
Type=notify
ExecStart={program} run --config {config}
# Settings that cannot be used are refused here, before the daemon is asked.
ExecReload={program} check-config --changed --config {config}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
# Wrong settings do not get better by trying again.
RestartPreventExitStatus=2
# Fed by the event loop: where that is stuck, all threads' traces go to the journal, and it starts again.
WatchdogSec={watchdog_s}
Environment=PYTHONFAULTHANDLER=1
TimeoutStartSec=90
TimeoutStopSec={stop_s}
TimeoutAbortSec=5
KillMode=mixed
LimitCORE=0
LimitNOFILE=65536
"""

_CLOSED = """
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
DevicePolicy=closed
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# Open: the network, by which clients, browsers and a broker are heard; AF_UNIX, to tell systemd how it fares.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
"""

_LOOPBACK = """\
# Its settings reach nobody but this machine, so nobody else is reached. Once they do (mqtt.listen, mqtt.url,
# http.listen, alerts), run `whosin service install` again, or add your networks: IPAddressAllow=10.0.0.0/8
IPAddressDeny=any
IPAddressAllow=localhost
"""

_ANYWHERE = """\
# Its settings reach beyond this machine. To name the networks, `systemctl edit {name}`:
# IPAddressDeny=any
# IPAddressAllow=localhost 10.0.0.0/8
"""


@dataclass(frozen=True)
class Unit:
    """What differs from machine to machine. `secrets`: files that only root may read, by the setting's
    variable; `groups`: those through which other files can be read."""

    name: str = "whosin"
    program: str = "/opt/whosin/bin/whosin"
    config: str = "/etc/whosin/whosin.toml"
    user: str | None = None
    local: bool = True
    secrets: dict[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    def text(self) -> str:
        """All of the unit file."""
        values = {
            "name": self.name, "data": f"/var/lib/{self.name}", "program": _quoted(self.program),
            "config": _quoted(self.config), "watchdog_s": WATCHDOG_S, "stop_s": STOP_S,
        }  # fmt: skip
        network = _LOOPBACK if self.local else _ANYWHERE
        parts = (_HEAD, _UNIT, _SERVICE, "\n" + "".join(self._own()), _CLOSED, network)
        install = "\n[Install]\nWantedBy=multi-user.target\n"
        return (
            "".join(part.format_map(values) for part in parts[:3])
            + "".join(parts[3:5])
            + (network.format_map(values) + install)
        )

    def _own(self) -> list[str]:
        """Who it is, and what it may read and write."""
        lines = [f"User={self.user}\n" if self.user else "DynamicUser=yes\n"]
        lines += [
            f"StateDirectory={self.name}\n",
            "StateDirectoryMode=0700\n",
            "UMask=0077\n",
        ]
        lines += [f"ReadOnlyPaths=-{_quoted(self.config.rpartition('/')[0])}\n"]
        if self.groups:
            lines += [f"SupplementaryGroups={' '.join(self.groups)}\n"]
        if self.secrets:
            lines += ["# Only root may read these; systemd hands over a copy at each start.\n"]
        for variable, path in self.secrets.items():
            credential = variable.removeprefix("WHOSIN_").lower()
            lines += [f"LoadCredential={credential}:{path}\n", f"Environment={variable}=%d/{credential}\n"]
        return lines


def _quoted(path: str) -> str:
    """As one word of a unit file."""
    path = path.replace("%", "%%").replace("$", "$$")
    return f'"{path}"' if " " in path else path


if __name__ == "__main__":
    print(Unit().text(), end="")  # noqa: T201
