"""What the shop sold, when, where and to whom; guests, who left no customer id, always apart.

`orders` and `products` pass once over silver, with the rules of gold: products only, no cancellations, up to the run
date. So the customers' revenue here is the revenue of the segments, to the cent, unless the shop takes returns off there
(``revenue = "net"``): orders are counted as they were placed. All else is made of the orders.
"""

from rfm.core.trade.customers import cohorts, customer_months, days_between
from rfm.core.trade.sales import orders, products
from rfm.core.trade.totals import Kpis, baskets, countries, kpis, periods

__all__ = [
    "Kpis",
    "baskets",
    "cohorts",
    "countries",
    "customer_months",
    "days_between",
    "kpis",
    "orders",
    "periods",
    "products",
]
