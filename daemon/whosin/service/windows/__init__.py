"""The service under Windows: its program hosts itself, and its manager is the system's service manager.

Owns what is registered there, and what the system is told. Must not know what the daemon does.
"""
