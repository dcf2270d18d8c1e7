"""Whosin as a service of the system: systemd on Linux, the service manager on Windows.

Owns what is registered where, and what the system is told. Must not know what the daemon does.
"""
