"""HTTP: the API, the event stream, health, metrics, and later the page.

Owns requests and answers: who may ask, what a well-formed question is, and how an answer or a refusal
looks. Everything asked goes through `operations.Operations`. Must not know SQL, rules or MQTT.

Importing this package costs nothing. Importing `web.server` costs uvicorn, so only the daemon does; importing
`web.app` costs FastAPI and its models (half a second and more), so the daemon does it when it already serves.
"""
