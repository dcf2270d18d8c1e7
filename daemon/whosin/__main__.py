"""`python -m whosin` is the `whosin` command."""

from whosin.cli import main

if __name__ == "__main__":
    main(prog_name="whosin")
