"""Log in, lock a sales order, work on it, log out: asyncio, with the client library."""

import asyncio
import sys

from whosin.client import LockRefused, Login

URL = sys.argv[1] if len(sys.argv) > 1 else "mqtt://127.0.0.1"


async def main() -> None:
    async with Login(URL, site="head-office", company="books", user="ann", app="Example 1.0") as login:
        print(f"{login.who.user} is in, and beats every {login.heartbeat_every_s:g} s by itself")
        try:
            async with login.lock("sales-order/SO-1001", wait_s=10, activity="amending SO-1001") as held:
                print(f"SO-1001 is mine; what I write carries token {held.token}")
                await asyncio.sleep(1)
        except LockRefused as refused:
            print(refused)  # sales-order/SO-1001: in use by bob on PC-9 (desktop, active) since ...
    print("logged out")


asyncio.run(main())
