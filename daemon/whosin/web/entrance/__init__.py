"""The small pages: signing in, the one-time link, one's own account, and refusals for people."""
