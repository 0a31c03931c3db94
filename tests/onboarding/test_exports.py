"""Exports that are known by their headers, each as an invented file in the documented layout."""

from __future__ import annotations

import datetime as dt
import io

import pandas as pd
import pytest

from rfm.onboarding.evidence import guesses
from rfm.onboarding.formats import dates_of
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
    "Etsy items": (
        "Sale Date,Item Name,Buyer,Quantity,Price,Item Total,Transaction ID,Listing ID,Ship Country,Order ID,SKU",
        "03/{d}/26,Mug,A B (buyer{c}),2,9.50,19.00,39{n},88,Germany,31{n},MUG-1",
    ),
    "PayPal": (
        "Date,Time,Name,Type,Status,Currency,Gross,Fee,Net,From Email Address,Transaction ID,Invoice Number",
        "03/{d}/2026,10:00:00,Buyer {c},Website Payment,Completed,USD,{n}.50,-1.00,{n}.50,u{c}@example.org,8X{n}K,INV{n}",
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


PLAIN = {  # exports that no list has: headers, a line, and the columns that are used
    "Tiendanube": (
        "Número de orden;Email;Fecha;Estado de la orden;Estado del pago;Moneda;Total;Nombre del comprador",
        "{n};u{c}@example.org;{d}/03/2026 10:00:00;Abierta;Confirmado;ARS;{n}.50;Ann Bell",
        {"invoice": "Número de orden", "customer_id": "Email", "status": "Estado de la orden", "price": "Total"},
    ),
    "Rakuten": (
        "注文番号;ステータス;注文日時;注文日;注文者メールアドレス;単価;個数",
        "303-{n};発送済;2026/03/{d} 10:00:00;2026/03/{d};u{c}@example.org;850;2",
        {"invoice": "注文番号", "customer_id": "注文者メールアドレス", "status": "ステータス", "invoice_date": "注文日時"},
    ),
    "Toast": (
        "Order Id;Opened;Customer Email;Amount;Paid",
        "4{n};3/{d}/26 4:49 PM;u{c}@example.org;{n}.50;3/{d}/26 5:49 PM",
        {"invoice": "Order Id", "invoice_date": "Opened", "customer_id": "Customer Email", "price": "Amount"},
    ),
    "Shopware": (
        "Bestellnummer;Bestellzeit;Kundennummer;E-Mail;Bestellstatus;Zahlungsstatus;Gesamtbetrag",
        "{n};{d}.03.2026 10:00;{c};u{c}@example.org;Komplett abgeschlossen;Komplett bezahlt;{n},50",
        {"invoice": "Bestellnummer", "invoice_date": "Bestellzeit", "customer_id": "Kundennummer", "status": "Bestellstatus"},
    ),
    "Odoo orders": (
        "Order Reference;Order Date;Customer;Total;Status;Invoice Status",
        "S{n};2026-03-{d} 10:00:00;Ann Bell {c};{n}.50;Sales Order;Fully Invoiced",
        {"invoice": "Order Reference", "customer_id": "Customer", "status": "Status"},
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_export_is_read_without_a_question(name):
    header, line, wanted = PLAIN[name]
    rows = [line.format(n=1000 + i, c=100 + i % 17, d=f"{13 + i % 12:02}").split(";") for i in range(60)]
    profile = Profile(pd.DataFrame(rows, columns=header.split(";")), ["export.csv"], TODAY)
    assert {role: profile.matches[role].column for role in wanted} == wanted
    assert (profile.questions, [one for one in profile.matches.values() if one.sure == "unsure"]) == ([], [])


@pytest.mark.parametrize("written", ["%b-%d-%y", "%d-%b-%y", "%b %d, %Y", "%B %d, %y", "%d. %b %Y"])
def test_months_with_names_are_read_in_any_order(written):
    days = [dt.date(2026, 1, 5) + dt.timedelta(days=3 * place) for place in range(30)]
    found = dates_of({f"{day:{written}}, 4:49 PM" if " " in written else f"{day:{written}}": 1 for day in days}, TODAY)
    assert (found.share, found.other) == (1.0, "")


def shop(**columns: list[str]) -> Profile:
    """Return the profile of 60 orders of 17 customers, with further columns."""
    rows = {"Order ID": [f"{1000 + i}" for i in range(60)], "Customer ID": [f"K{i % 17}" for i in range(60)]}
    rows |= {"Date": [f"{13 + i % 12}/03/2026" for i in range(60)], "Total": [f"{i + 5}.50" for i in range(60)]}
    return Profile(pd.DataFrame(rows | columns), ["export.csv"], TODAY)


def test_both_states_of_an_order_are_heeded():
    lines = shop(**{"Status": ["Shipped"] * 60, "Payment Status": ["Paid"] * 50 + ["Voided"] * 10})
    offer = nested((one.setting, one.value) for one in guesses(lines))
    assert (offer["columns"]["line_type"], offer["rules"]["not_sold"]) == ("Payment Status", ("voided",))


def test_an_unknown_state_of_a_failure_counts_last():
    (question,) = shop(Status=["Shipped"] * 40 + ["Pagamento em falha"] * 20).questions
    assert [one.value for one in question.options] == [["shipped"], ["shipped", "pagamento em falha"]]


def test_two_orders_of_day_and_month_are_doubted():
    days = [f"{13 + i % 12}/03/2026" for i in range(30)] + [f"04/{13 + i % 12}/2026" for i in range(20)] + ["05/04/2026"] * 10
    assert [one.said[:44] for one in shop(Date=days).doubts] == ["dates have two orders of day and month: %d/%"]


def test_a_month_with_a_name_has_no_second_order():
    days = ["Date" if i % 20 == 0 else f"{1 + i % 28:02}-Mar-2026" for i in range(60)]
    profile = shop(Date=days)
    assert (profile.dates.pattern, [one for one in profile.doubts if one.about == "dates"]) == ("%d-%b-%Y", [])
