"""Whosin: who is in, who fell out, and what they still hold."""

__version__ = "0.1.0"
