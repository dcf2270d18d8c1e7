"""The door: Whosin's own MQTT endpoint (3.1.1 and 5), so that a small site needs no broker."""

from whosin.mqtt.door.door import Door
from whosin.mqtt.door.limits import DoorLimits

__all__ = ["Door", "DoorLimits"]
