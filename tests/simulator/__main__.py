"""Runs seeds: `python -m tests.simulator --seeds 1000`. See docs/simulator.md."""

from tests.simulator.run import main

raise SystemExit(main())
