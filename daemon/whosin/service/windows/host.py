"""What the service manager starts: `python host.py SITE-PACKAGES whosin-arguments…`.

It is run by the Python that a virtual environment was made from, since the `python.exe` of the environment
itself would only start that one as another process, which the manager would not know. So it adds the
environment's packages first, and must import nothing of ours before.
"""

import runpy
import site
import sys

if __name__ == "__main__":
    packages = sys.argv.pop(1)
    if packages not in sys.path:
        site.addsitedir(packages)
    runpy.run_module("whosin", run_name="__main__", alter_sys=True)
