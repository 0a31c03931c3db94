"""Exports that are known by their headers, each as an invented file in the documented layout."""

from __future__ import annotations

import datetime as dt
import io

import pandas as pd
import pytest

from rfm.onboarding.guesses import guesses
from rfm.onboarding.profile import EXPORTS, Profile
from rfm.onboarding.questions import nested

TODAY = dt.date(2026, 11, 23)
HEADS = {  # headers as documented, and one line with {n} for a number, {c} for a customer and {d} for a day of a month
    "Shopify": (
        "Name,Email,Financial Status,Currency,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku",
        "#{n},u{c}@example.org,paid,EUR,23.90,2026-03-{d} 08:15:26 +0100,2,Mug,9.50,MUG-1",
    ),
    "WooCommerce": (
        "Order Number,Order Status,Order Date,Customer Note,Email (Billing),Order Total Amount",
        "{n},Completed,2026-03-{d} 10:00,,u{c}@example.org,{n}.50",
    ),
    "Magento": (
        "ID,Purchase Point,Purchase Date,Bill-to Name,Grand Total (Base),Grand Total (Purchased),Status,Customer Email",
        "1000{n},Main,2026-03-{d} 10:00:00,A B,{n}.50,{n}.50,complete,u{c}@example.org",
    ),
    "Square": (
        "Date,Time,Time Zone,Category,Item,Qty,SKU,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,Event Type,Customer ID",
        "2026-03-{d},10:00:00,Berlin,Cups,Mug,2,MUG,$20.00,-$1.00,$19.00,$3.00,T{n},Payment,C{c}",
    ),
    "Stripe": (
        "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,Customer ID,Description",
        "ch_{n},2026-03-{d} 10:05,{n}.25,0.00,eur,Paid,cus_{c},Subscription",
    ),
    "Amazon": (
        "amazon-order-id,purchase-date,order-status,product-name,sku,quantity,currency,item-price,ship-country,buyer-email",
        "302-{n},2026-03-{d}T10:12:33+00:00,Shipped,Lamp,LA-1,2,EUR,64.20,DE,{c}@marketplace.example",
    ),
    "Etsy": (
        "Sale Date,Order ID,Buyer User ID,Number of Items,Ship Country,Currency,Order Value,Discount Amount,Order Total,Status",
        "03/{d}/26,31{n},buyer{c},2,Germany,USD,18.33,2.00,19.{d},",
    ),
    "eBay": (
        "Sales Record Number,Order Number,Buyer Username,Buyer Country,Item Title,Custom Label,Quantity,Sold For,Sale Date",
        "{n},27-{n},buyer{c},Germany,Mug,MUG-1,2,9.50,2026-03-{d}",
    ),
    "Lightspeed": (
        "Date,Receipt Number,Line Type,Customer Code,Customer Name,Quantity,Total,SKU",
        "2026-03-{d} 10:00:00,{n},Sale,C{c},A B,2,19.00,MUG-1",
    ),
    "Odoo": (
        "Order Reference,Order Date,Customer,Order Lines/Product,Order Lines/Quantity,Order Lines/Unit Price",
        "S{n},2026-03-{d} 08:00:00,Partner {c},[MUG] Mug,2.0,9.50",
    ),
    "Olist": (
        "order_id,customer_unique_id,order_status,order_purchase_timestamp,order_item_id,product_id,price,freight_value",
        "o{n},u{c},delivered,2026-03-{d} 10:00:00,1,p1,9.50,3.10",
    ),
    "Online Retail": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        "53{n},85123A,MUG,2,3/{d}/2026 8:26,9.50,17{c},Germany",
    ),
    "CDNOW": ("id,date,number,dollars", "0{c},202603{d},2,{n}.50"),
    "Superstore": (
        "Row ID,Order ID,Order Date,Ship Date,Customer ID,Country,Product ID,Product Name,Sales,Quantity,Discount,Profit",
        "{n},CA-2026-{n},3/{d}/2026,3/28/2026,CG-{c},United States,FUR-1,Mug,19.00,2,0.2,6.10",
    ),
}


def export(name: str, lines: int = 60) -> pd.DataFrame:
    """Return the lines of an invented export."""
    header, line = HEADS[name]
    rows = [line.format(n=1000 + i, c=100 + i % 17, d=f"{13 + i % 12:02}") for i in range(lines)]
    return pd.read_csv(io.StringIO("\n".join([header, *rows])), dtype=str)


def test_every_known_export_has_a_test():
    assert {one["name"] for one in EXPORTS} == HEADS.keys()


@pytest.mark.parametrize("name", HEADS)
def test_an_export_is_known_by_its_headers(name):
    profile = Profile(export(name), ["export.csv"], TODAY)
    known = next(one for one in EXPORTS if one["name"] == name)["columns"]
    there = {role: column for role, column in known.items() if column in export(name)}
    found = {role: profile.matches[role].column for role in there if role in profile.matches}
    assert (profile.export, found, profile.questions) == (name, there, [])
    offer = nested((one.setting, one.value) for one in guesses(profile))
    assert offer["rules"]["cancellation"] != "prefix" or name == "Online Retail"


def test_a_header_that_lacks_one_column_is_no_known_export():
    assert Profile(export("Superstore").drop(columns="Profit"), today=TODAY).export == ""
