"""One MQTT 5 connection, from CONNECT to its end; never used twice.

Owns the taming of aiomqtt: nothing leaks when opening is cancelled, a broken connection fails whoever
waits for it, closing drops the broker's memory of us, and `abort` leaves like a crash. This is the only
place that reaches below aiomqtt's face, to the paho client inside, and says why. Must not know sessions,
topics or when to try again.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from whosin.client.errors import LoginRefused, NoAnswer, NotConnected

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    import paho.mqtt.client as mqtt
    from aiomqtt.types import PahoSocket

T = TypeVar("T")

_WAIT_S: Final = 10.0
_CLOSE_S: Final = 2.0
_TAKEN_OVER: Final = 0x8E
# Trying again does not help: protocol version, client id, password, not authorised, banned, ...
_HOPELESS: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
_MAX_WAITING: Final = 10_000  # of messages each way: bounds what we hold; the surplus is dropped

_burials: set[asyncio.Task[None]] = set()


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(slots=True)
class Broker:
    """Where to connect, and how to sign in. `tls` None: in the clear."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def at(
        cls,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Broker:
        """From `mqtt://host[:1883]` or `mqtts://host[:8883]`, `user:password@` allowed. ValueError
        for anything else; OSError when a file cannot be read.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path not in {"", "/"}:
            shown = url.replace(f":{parts.password}@", ":***@") if parts.password else url
            raise ValueError(f"url is {shown!r}; expected mqtt://host:port or mqtts://host:port")
        secure = parts.scheme == "mqtts"
        if secure and tls is None:
            tls = ssl.create_default_context(cafile=ca_file)
            if cert_file is not None:
                tls.load_cert_chain(cert_file, key_file)
        if tls is not None and tls.sslsocket_class is ssl.SSLSocket:
            tls.sslsocket_class = _TidySocket
        return cls(
            host=parts.hostname,
            port=parts.port or (8883 if secure else 1883),
            username=username if username is not None else parts.username and unquote(parts.username),
            password=password if password is not None else parts.password and unquote(parts.password),
            tls=tls if secure else None,
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when the connection breaks."""

    topic: str
    payload: bytes


class Connection:
    """An open connection. Everything raises `NotConnected` once it is broken or closed."""

    def __init__(self, client: aiomqtt.Client, broker: Broker) -> None:
        self._client = client
        self._broker = broker
        self._gone = client._disconnected  # noqa: SLF001 - the one future that tells waiters it broke
        self._over = False

    @classmethod
    async def open(
        cls, broker: Broker, *, client_id: str, will: Will | None, keep_alive_s: int, session_expiry_s: int
    ) -> Self:
        """Connect. `LoginRefused` when the broker will never have us, else `NotConnected`.

        The broker keeps what is meant for us for `session_expiry_s` after the connection breaks.
        """
        client = _client(broker, client_id, will, keep_alive_s, session_expiry_s)
        opening = asyncio.create_task(client.__aenter__(), name="whosin-connect")
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The attempt runs in a thread and cannot be stopped there: it is closed when it is through.
            burial = asyncio.create_task(_bury(opening, client), name="whosin-bury")
            _burials.add(burial)
            burial.add_done_callback(_burials.discard)
            raise
        except aiomqtt.MqttError as error:
            _discard(client)
            raise _told(error, broker) from error
        if not client._client.is_connected():  # noqa: SLF001 - aiomqtt forgets a break that came with the answer
            _discard(client)
            raise NotConnected(f"the connection to {broker} broke")
        return cls(client, broker)

    async def subscribe(self, filters: Sequence[str]) -> None:
        """With QoS 1. `LoginRefused` when the broker does not let us listen."""
        codes = await self._unless_gone(self._client.subscribe([(each, 1) for each in filters]))
        for topic, code in zip(filters, codes, strict=False):
            if _value(code) >= 0x80:
                raise LoginRefused(
                    "not_authorized", f"{self._broker} does not let us listen to {topic}: {code}"
                )

    async def publish(self, topic: str, payload: bytes, *, qos: int) -> None:
        """QoS 0: on its way. QoS 1: the broker has it; `NoAnswer` when it does not say so in time."""
        await self._unless_gone(self._client.publish(topic, payload, qos=qos))

    async def receive(self) -> tuple[str, bytes]:
        """Topic and payload of the next message."""
        try:
            message = await anext(self._client.messages)
        except aiomqtt.MqttError as error:
            raise _broken(error, self._broker) from error
        return message.topic.value, message.payload

    async def close(self) -> None:
        """Say goodbye to the broker, which then forgets us and publishes no will."""
        if not self._over and not self._gone.done():
            _farewell(self._client)
            await asyncio.wait([self._gone], timeout=_CLOSE_S)
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a word, as a crash does. Harmless when it is closed already."""
        if not self._over:
            self._over = True
            _discard(self._client)

    async def _unless_gone(self, doing: Coroutine[Any, Any, T]) -> T:
        """The result, or `NotConnected` at once when the connection breaks: aiomqtt would wait on."""
        task = asyncio.create_task(doing)
        waiting: set[asyncio.Future[Any]] = {task, self._gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise NotConnected(f"the connection to {self._broker} broke")
        except aiomqtt.MqttError as error:
            if self._gone.done():
                raise NotConnected(f"the connection to {self._broker} broke") from error
            raise NoAnswer(f"{self._broker} did not take it: {error}") from error
        finally:
            task.cancel()


class _Client(aiomqtt.Client):
    """aiomqtt, but for two moments.

    It asks the loop to watch a socket a moment late. By then ours may be closed, and its number another
    connection's: look again before watching. And it overlooks a connection that breaks before the broker
    has answered: tell who waits for that answer.
    """

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: Any,
        flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        with suppress(RuntimeError):  # the loop is closed: nobody waits; this may be the thread that connects
            self._loop.call_soon_threadsafe(self._unanswered, reason_code)

    def _unanswered(self, reason_code: ReasonCode) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttCodeError(reason_code, "closed before it was answered"))
            self._connected.exception()  # looked at: whoever was to wait may have given up

    def _on_socket_register_write(self, client: mqtt.Client, userdata: Any, sock: PahoSocket) -> None:  # noqa: ARG002
        self._loop.call_soon_threadsafe(self._watch_writes, client, sock)

    def _watch_writes(self, client: mqtt.Client, sock: Any) -> None:
        number = sock.fileno()
        if client.socket() is sock:
            self._loop.add_writer(number, self._write, client)

    def _write(self, client: mqtt.Client) -> None:
        try:
            client.loop_write()
        except Exception as error:  # noqa: BLE001 - whatever it is, this connection is over
            if not self._disconnected.done():
                self._disconnected.set_exception(error)


def _client(
    broker: Broker, client_id: str, will: Will | None, keep_alive_s: int, session_expiry_s: int
) -> aiomqtt.Client:
    remember = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    remember.SessionExpiryInterval = session_expiry_s
    client = _Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        will=aiomqtt.Will(will.topic, will.payload, qos=1) if will else None,
        clean_start=False,
        keepalive=keep_alive_s,
        properties=remember,
        timeout=_WAIT_S,
        tls_context=broker.tls,
        max_queued_incoming_messages=_MAX_WAITING,
        max_queued_outgoing_messages=_MAX_WAITING,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    client.pending_calls_threshold = 10_000  # a gateway's many logins are no reason to warn
    return client


def _told(error: aiomqtt.MqttError, broker: Broker) -> LoginRefused | NotConnected:
    """Why there is no connection, and whether trying again can help."""
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        return LoginRefused("tls", f"{broker} is not who it should be: {error}")
    if isinstance(error, MqttConnectError) and _value(error.rc) in _HOPELESS:
        return LoginRefused("not_authorized", f"{broker} refused the connection: {error}")
    return NotConnected(f"cannot connect to {broker}: {error}")


def _value(code: object) -> int:
    value = code.value if isinstance(code, ReasonCode) else code
    return value if isinstance(value, int) else 0


def _broken(error: aiomqtt.MqttError, broker: Broker) -> NotConnected:
    cause = error.__cause__
    rc = cause.rc if isinstance(cause, aiomqtt.MqttCodeError) else None
    return NotConnected(
        f"the connection to {broker} broke: {cause or error}", taken_over=_value(rc) == _TAKEN_OVER
    )


def _farewell(client: aiomqtt.Client) -> None:
    """DISCONNECT, with the request to forget us, which aiomqtt's own farewell cannot express."""
    forget = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
    forget.SessionExpiryInterval = 0
    client._client.disconnect(properties=forget)  # noqa: SLF001


def _discard(client: aiomqtt.Client) -> None:
    """Close the socket now and wake who waits. paho has no public way that works on a full send buffer."""
    client._client._sock_close()  # noqa: SLF001
    gone = client._disconnected  # noqa: SLF001
    if not gone.done():
        gone.set_result(None)
    elif not gone.cancelled():
        gone.exception()  # looked at, so that asyncio does not call it lost


async def _bury(opening: asyncio.Task[aiomqtt.Client], client: aiomqtt.Client) -> None:
    """Wait for an attempt nobody wants any more, even while the loop is closing, and undo it."""
    while not opening.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        _farewell(client)
    _discard(client)
