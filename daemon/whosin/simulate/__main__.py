"""`python -m whosin.simulate` is `whosin simulate`."""

from whosin.cli.simulate import command

if __name__ == "__main__":
    command(prog_name="whosin simulate")
