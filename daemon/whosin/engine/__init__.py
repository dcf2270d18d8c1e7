"""The one writer: what arrives goes through the rules, into one commit, and only then out to the world."""
