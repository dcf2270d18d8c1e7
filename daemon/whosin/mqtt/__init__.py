"""MQTT 3.1.1 and 5: the codec, the door (our own endpoint) and the link (to a broker)."""
