"""Events and counts for people and machines to watch: log lines and metrics."""
