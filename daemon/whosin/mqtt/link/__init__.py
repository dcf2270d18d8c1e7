"""The link: one client's connection to a broker, kept up (client side of MQTT 5).

Owns: connecting, coming back, going; the `Transport` that the engine sees. Must not know: sessions, what
messages say, settings. One connection is `connection`, what waits to leave is `outgoing`, when silence
means trouble is `pulse`.
"""

from whosin.mqtt.link.link import Link

__all__ = ["Link"]
