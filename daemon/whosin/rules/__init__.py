"""The rules: pure and synchronous. Messages, moments and commands in; events and answers out.

Nothing here reads a clock, does I/O or logs; every moment is passed in.
"""
