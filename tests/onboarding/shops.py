"""Make shops from seeds: a truth in exact cents, and landing files that say it as real exports do.

    python -m tests.onboarding.shops SEED FOLDER    # writes the files of one shop, and prints its spec and totals

The truth never passes through `rfm`: it is counted from the orders that the files are written from.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tests.onboarding.shop_files import files_of
from tests.onboarding.shop_orders import EMAIL, PHONE, Shop, orders_of, plain, spelled, user
from tests.onboarding.shop_spec import Spec, draw, sensible


def make(spec: Spec | int) -> Shop:
    """Return the shop of a spec, or of a seed."""
    spec = draw(spec) if isinstance(spec, int) else sensible(spec)
    rng = random.Random(f"shop {spec.seed}")
    people = rng.randint(20, 60)
    shop = Shop(spec, list(orders_of(spec, rng, people)), {})
    for one in range(people):
        shop.customers |= {plain(name): one for name in (spelled(spec, one), EMAIL.format(user(one)), PHONE.format(one * 7919))}
    shop.files = dict(files_of(shop, rng))
    return shop


def write(shop: Shop, folder: Path) -> None:
    """Write the files of a shop into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in shop.files.items():
        (folder / name).write_bytes(raw)


if __name__ == "__main__":
    made = make(int(sys.argv[1]))
    write(made, Path(sys.argv[2]))
    counted = made.truth()
    total = sum(one.cents for one in counted.values())
    sys.stdout.write(
        f"{made.spec}\n{len(counted)} customers, {sum(one.frequency for one in counted.values())} orders, "
        f"{total / 100:.2f} gross, last day {made.last_day}\n"
    )
