"""The MQTT libraries that are out there, over the door and Mosquitto: each logs in, locks, hears, leaves."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import aiomqtt
import pytest

from tests.e2e.conftest import Site
from tests.support.daemon import until

needs_tools = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="NOT TESTED: mosquitto_pub is missing"
)
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="NOT TESTED: npm is missing")

LOGIN = json.dumps({"user": "anna", "client": "desktop"})

SCRIPT = """
import mqtt from "mqtt";
const [url, version] = process.argv.slice(2);
const down = "whosin/v1/down/s1/c1/A/";
const client = await mqtt.connectAsync(url, { clientId: "A", protocolVersion: Number(version), clean: true });
const answers = {};
const heard = (kind) => new Promise((done) => (answers[kind] = done));
client.on("message", (topic, body) => answers[topic.slice(down.length)]?.(JSON.parse(body)));
await client.subscribeAsync(down + "#", { qos: 1 });
const up = "whosin/v1/up/s1/c1/A/";
const say = (verb, data) => client.publishAsync(up + verb, JSON.stringify(data), { qos: 1 });
const login = heard("login");
await say("login", { user: "anna", client: "desktop" });
const lock = heard("lock");
await say("lock", { resource: "vat-return" });
console.log(JSON.stringify([await login, await lock]));
await say("logout", { reason: "done" });
await client.endAsync();
"""


def _left(site: Site) -> None:
    until(lambda: site.daemon.status("A") == "logged_off")
    kinds = [event["type"] for event in reversed(site.daemon.history(session="A"))]
    assert kinds == ["session.logged_in", "lock.granted", "lock.released", "session.logged_off"]


@needs_tools
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_and_sub(site: Site, version: str) -> None:
    base = ["-h", "127.0.0.1", "-p", str(site.port), "-V", version, "-q", "1"]
    listen = [
        "stdbuf",
        "-oL",
        "mosquitto_sub",
        *base,
        "-t",
        "whosin/v1/down/s1/c1/A/#",
        "-C",
        "2",
        "-W",
        "20",
        "-F",
        "%t %p",
        "-d",
    ]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as ear:
        assert ear.stdout is not None
        for line in ear.stdout:
            if "SUBACK" in line or line.startswith("Subscribed"):
                break
        for verb, payload in (("login", LOGIN), ("lock", '{"resource": "vat-return"}'), ("logout", "{}")):
            publish = ["mosquitto_pub", *base, "-t", f"whosin/v1/up/s1/c1/A/{verb}", "-m", payload]
            subprocess.run(publish, check=True, timeout=15)
        heard = [line.split(" ", 1) for line in ear.stdout if line.startswith("whosin/")]
    assert [topic.rsplit("/", 1)[1] for topic, _ in heard] == ["login", "lock"]
    assert json.loads(heard[0][1])["accepted"] is True
    assert json.loads(heard[1][1])["granted"] is True
    _left(site)


@pytest.mark.parametrize("version", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
def test_aiomqtt(site: Site, version: aiomqtt.ProtocolVersion) -> None:
    async def talk() -> list[dict[str, object]]:
        found = []
        async with aiomqtt.Client("127.0.0.1", site.port, identifier="A", protocol=version) as client:
            await client.subscribe("whosin/v1/down/s1/c1/A/#", qos=1)
            await client.publish("whosin/v1/up/s1/c1/A/login", LOGIN, qos=1)
            await client.publish("whosin/v1/up/s1/c1/A/lock", '{"resource": "vat-return"}', qos=1)
            async for message in client.messages:
                found.append(json.loads(bytes(message.payload)))  # type: ignore[arg-type]
                if len(found) == 2:
                    break
            await client.publish("whosin/v1/up/s1/c1/A/logout", qos=1)
        return found

    login, lock = asyncio.run(asyncio.wait_for(talk(), 20))
    assert (login["accepted"], lock["granted"]) == (True, True)
    _left(site)


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    (folder / "talk.mjs").write_text(SCRIPT)
    subprocess.run(
        ["npm", "install", "--silent", "--no-fund", "--no-audit", "mqtt@5"],
        cwd=folder,
        check=True,
        timeout=240,
    )
    return folder


@needs_node
@pytest.mark.parametrize("version", ["4", "5"])
def test_mqtt_js(site: Site, version: str, node_folder: Path) -> None:
    done = subprocess.run(
        ["node", "talk.mjs", f"mqtt://127.0.0.1:{site.port}", version],
        cwd=node_folder, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    login, lock = json.loads(done.stdout)
    assert (login["accepted"], lock["granted"]) == (True, True)
    _left(site)
