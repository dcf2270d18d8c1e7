"""The same without an event loop, for scripts and desktop programs: it beats in a thread of its own."""

import sys
import time

from whosin.client import LockRefused, SyncLogin

URL = sys.argv[1] if len(sys.argv) > 1 else "mqtt://127.0.0.1"

with SyncLogin(URL, site="head-office", company="books", user="bob", activity="month end") as login:
    print(f"bob is in ({login.state})")
    try:
        with login.lock("vat-return", activity="submitting the VAT return") as held:
            print(f"the VAT return is mine; what I write carries token {held.token}")
            time.sleep(1)
    except LockRefused as refused:
        print(refused)
print("logged out")
