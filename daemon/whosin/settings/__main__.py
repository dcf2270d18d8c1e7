"""Prints what is made from the settings: `python -m whosin.settings --markdown`, or `--toml`."""

import sys

from whosin.settings import documents

MAKERS = {"--markdown": documents.markdown, "--toml": documents.toml}


def main(arguments: list[str]) -> int:
    """Print one document; 2 for wrong use."""
    make = MAKERS.get(arguments[0]) if len(arguments) == 1 else None
    if make is None:
        sys.stderr.write("usage: python -m whosin.settings --markdown | --toml\n")
        return 2
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(make())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
