"""The page: what an operator sees and orders in a browser, rendered here and kept live by events.

Owns templates, texts, assets and the addresses of the views. Everything asked and ordered goes through
`operations.Operations`, as the API's routes do. Must not know SQL, rules or MQTT.
"""
