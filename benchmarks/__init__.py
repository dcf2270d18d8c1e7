"""How fast Whosin is, on this machine, beside its peers: `python -m benchmarks NAME`.

Each benchmark is a module with `run(options)`, and its first line says what it measures. A figure of the
daemon is CPU time of the real `whosin run` process (user and system); wall times stand beside it. Where there
is a floor it is judged in words; the exit code is 0 whatever the numbers.
"""
