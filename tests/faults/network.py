"""A broker in a network namespace of its own, with two cables: one to the daemon, one to everybody else.

The daemon's cable can be pulled, both ways or one way only, while the broker's other clients notice nothing:
connections stay half-open, as when a firewall forgets them. Needs root on Linux and `ip` (iproute2).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess

_dice = random.SystemRandom()


def possible() -> str | None:
    """Why not; None if it is."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root on Linux for a network namespace"
    if shutil.which("ip") is None:
        return "needs ip (iproute2)"
    probe = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "network namespaces are not available"


class Network:
    """`within` runs a program inside; `daemon` and `clients` are the addresses under which it is reached."""

    def __init__(self) -> None:
        while True:  # the name that can be made is ours, and so are its addresses
            number = _dice.randrange(1, 255 * 63)
            third, fourth = number // 63, number % 63 * 4
            self.name = f"whosin{number}"
            if (
                subprocess.run(["ip", "netns", "add", self.name], capture_output=True, check=False).returncode
                == 0
            ):
                break
        self.daemon, self.clients = f"10.213.{third}.{fourth + 2}", f"10.214.{third}.{fourth + 2}"
        self._near = f"10.213.{third}.{fourth + 1}"
        self.within = ("ip", "netns", "exec", self.name)
        self._ends = (f"wd{number}", f"wc{number}")
        self._inside("link", "set", "lo", "up")
        for end, far, near in zip(
            self._ends, (self.daemon, self.clients), (self._near, f"10.214.{third}.{fourth + 1}"), strict=True
        ):
            _ip("link", "add", end, "type", "veth", "peer", "name", f"{end}b", "netns", self.name)
            _ip("addr", "add", f"{near}/30", "dev", end)
            _ip("link", "set", end, "up")
            self._inside("addr", "add", f"{far}/30", "dev", f"{end}b")
            self._inside("link", "set", f"{end}b", "up")

    def cut(self, direction: str) -> None:
        """`both`, or only what goes `to the daemon`."""
        if direction == "both":
            self._inside("link", "set", f"{self._ends[0]}b", "down")
        else:
            self._inside("route", "replace", "blackhole", self._near)

    def mend(self, direction: str) -> None:
        if direction == "both":
            self._inside("link", "set", f"{self._ends[0]}b", "up")
        else:
            self._inside("route", "del", "blackhole", self._near)

    def _inside(self, *words: str) -> None:
        _ip("-n", self.name, *words)

    def close(self) -> None:
        for end in self._ends:
            subprocess.run(["ip", "link", "del", end], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)
