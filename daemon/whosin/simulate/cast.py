"""Who is in the play: people, machines, companies, and what they work on. Owns the names; a pure function of
the seed, without clients or time.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whosin.simulate.options import Options

SITES: Final = ("harbour-group", "northgate", "kestrel-holdings", "old-mill", "summit-partners")
COMPANIES: Final = (
    "harbour-foods", "kestrel-tools", "brightwater-ltd", "oakfield-farms", "merchant-trust",
    "lakeside-print", "copperline", "fairway-logistics", "stonebridge", "ridgeway-motors",
)  # fmt: skip
FIRST: Final = (
    "Hannah", "Tom", "Priya", "James", "Ines", "Oluwaseun", "Grace", "Marek", "Aisha", "Daniel", "Chloe",
    "Wei", "Fatima", "Ben", "Sofia", "Callum", "Noor", "Peter", "Ruth", "Diego", "Megan", "Yusuf",
    "Ellen", "Raj",
)  # fmt: skip
LAST: Final = (
    "Osei", "Whitfield", "Nair", "Calder", "Duarte", "Adeyemi", "Penrose", "Kowalski", "Rahman", "Frost",
    "Beaumont", "Chen", "Haddad", "Ashworth", "Moretti", "Sinclair", "Aziz", "Lindqvist", "Bell", "Ortega",
    "Pryce", "Demir", "Hale", "Kapoor",
)  # fmt: skip
PROGRAMS: Final = ("Webshop orders", "Bank feed", "Payroll export", "Warehouse scanner", "Tax filing")


@dataclass(frozen=True, slots=True)
class Role:
    """One client of the day: who, how they come in, where they belong."""

    number: int
    user: str
    client: str  # desktop, web, api
    site: str
    company: str
    machine: str | None
    address: str | None
    app: str
    os_session: str | None
    arrives: float  # users' minutes after the start


@dataclass(frozen=True, slots=True)
class Task:
    """Something to open: what it locks, how it reads, how long it takes in users' minutes."""

    resource: str
    activity: str
    minutes: tuple[float, float]
    mode: str = "exclusive"
    guidance: str | None = None
    sticky: bool = False


def cast(options: Options) -> list[Role]:
    """Everybody of the day. The same options give the same people."""
    draw = Random(options.seed)  # noqa: S311 - a play, not a secret
    sites = [_numbered(SITES, number) for number in range(options.sites)]
    companies = [_numbered(COMPANIES, number) for number in range(options.companies)]
    names = _people(draw, options.clients)
    return [
        _role(options, draw, number, name, (draw.choice(sites), draw.choice(companies)))
        for number, name in enumerate(names)
    ]


def _role(options: Options, draw: Random, number: int, name: str, place: tuple[str, str]) -> Role:
    kind = draw.random()
    client = "api" if kind < options.api else "web" if kind < options.api + options.web else "desktop"
    remote = client == "desktop" and draw.random() < 0.3  # on a terminal server, several to a machine
    machine = {
        "desktop": f"RDS-{number % 4 + 1:02}" if remote else f"ACC-PC-{number + 1:03}",
        "web": None,
        "api": f"INT-{number % 3 + 1:02}",
    }[client]
    return Role(
        number=number,
        user=f"{PROGRAMS[number % len(PROGRAMS)]} {number + 1}" if client == "api" else name,
        client=client,
        site=place[0],
        company=place[1],
        machine=machine,
        address=f"203.0.113.{number % 254 + 1}" if client == "web" else None,
        app={"desktop": "Accounts 26.1", "web": "Portal 8.4", "api": "Connector 3.2"}[client],
        os_session=(f"rdp-{number + 1}" if remote else "console") if client == "desktop" else None,
        arrives=0.0 if number == 0 else draw.uniform(0, options.morning),
    )


def task(draw: Random) -> Task:
    """What somebody opens next. Few orders are hot, so that people meet at them."""
    order = 1000 + min(int(draw.expovariate(1 / 8)), 60)
    customer = 100 + min(int(draw.expovariate(1 / 10)), 80)
    return draw.choices(
        (
            Task(f"sales-order/SO-{order}", f"amending sales order SO-{order}", (1, 5)),
            Task(f"purchase-order/PO-{order}", f"receiving purchase order PO-{order}", (1, 4)),
            Task(f"sales-ledger/{customer}", f"posting a receipt to customer {customer}", (0.5, 2)),
            Task(f"nominal-ledger/{order % 40 + 4000}", "posting a journal", (0.5, 3)),
            Task(f"stock/item/WIDGET-{order % 30:02}", "adjusting stock", (0.5, 2)),
            Task("stock", "looking at stock levels", (0.5, 1), mode="shared"),
            Task("payroll/run", "calculating the payroll", (3, 8)),
            Task("vat-return", "submitting the VAT return", (3, 8)),
            Task("accounting-periods", "closing a period", (2, 5)),
            Task("menu-editor", "editing the menu", (1, 4), sticky=True),
        ),
        weights=(40, 12, 15, 10, 10, 6, 2, 2, 1, 2),
    )[0]


def _people(draw: Random, number: int) -> list[str]:
    """Named individuals, each once; beyond the names there are, with a second initial."""
    everybody = [f"{first} {last}" for first in FIRST for last in LAST]
    draw.shuffle(everybody)
    return [_initialled(everybody, index) for index in range(number)]


def _initialled(everybody: Sequence[str], index: int) -> str:
    again, place = divmod(index, len(everybody))
    if not again:
        return everybody[place]
    first, last = everybody[place].split()
    return f"{first} {chr(ord('A') + (again - 1) % 26)}{'' if again <= 26 else again}. {last}"


def _numbered(names: Sequence[str], number: int) -> str:
    again, place = divmod(number, len(names))
    return names[place] if not again else f"{names[place]}-{again + 1}"
