"""Roles of columns: headers in many languages, and values that outvote a name."""

from __future__ import annotations

import pytest

from rfm.onboarding.columns import STATUSES, facts_of, is_other, match, meaning_of, name_score, plain_words

ROLES = ("invoice", "invoice_date", "customer_id", "stock_code", "quantity", "price")
HEADERS = {  # in the order of ROLES
    "English": "Order No;Order Date;Customer No;Item Code;Quantity;Unit Price",
    "German": "Bestellnummer;Bestelldatum;Kundennummer;Artikelnummer;Menge;Einzelpreis",
    "French": "N° de commande;Date de commande;N° client;Code article;Quantité;Prix unitaire",
    "Spanish": "Número de pedido;Fecha del pedido;Código cliente;Código de artículo;Cantidad;Precio unitario",
    "Italian": "Numero ordine;Data ordine;Codice cliente;Codice articolo;Quantità;Prezzo unitario",
    "Dutch": "Bestelnummer;Besteldatum;Klantnummer;Artikelnummer;Aantal;Stukprijs",
    "Portuguese": "Nº do pedido;Data da compra;Código do cliente;Código do produto;Quantidade;Preço unitário",
    "Polish": "Numer zamówienia;Data zamówienia;Nr klienta;Kod towaru;Ilość;Cena jednostkowa",
    "Czech": "Číslo objednávky;Datum objednávky;Číslo zákazníka;Kód zboží;Množství;Cena za kus",
    "Slovak": "Číslo objednávky;Dátum objednávky;Číslo zákazníka;Kód tovaru;Množstvo;Jednotková cena",
    "Swedish": "Ordernummer;Orderdatum;Kundnummer;Artikelnummer;Antal;Pris",
    "Danish": "Ordrenummer;Ordredato;Kundenummer;Varenummer;Antal;Stykpris",
    "Norwegian": "Ordrenummer;Ordredato;Kundenummer;Varenummer;Antall;Enhetspris",
    "Finnish": "Tilausnumero;Tilauspäivä;Asiakasnumero;Tuotekoodi;Määrä;Yksikköhinta",
    "Hungarian": "Rendelésszám;Rendelés dátuma;Vevőkód;Cikkszám;Mennyiség;Egységár",
    "Romanian": "Număr comandă;Data comenzii;Cod client;Cod produs;Cantitate;Preț unitar",
    "Croatian": "Broj narudžbe;Datum narudžbe;Šifra kupca;Šifra proizvoda;Količina;Cijena",
    "Turkish": "Sipariş no;Sipariş tarihi;Müşteri no;Ürün kodu;Adet;Birim fiyat",
    "Greek": "Αριθμός παραγγελίας;Ημερομηνία παραγγελίας;Κωδικός πελάτη;Κωδικός προϊόντος;Ποσότητα;Τιμή μονάδας",
    "Russian": "Номер заказа;Дата заказа;Код клиента;Код товара;Количество;Цена",
    "Ukrainian": "Номер замовлення;Дата замовлення;Код клієнта;Код товару;Кількість;Ціна",
    "Indonesian": "Nomor pesanan;Tanggal pesanan;Kode pelanggan;Kode produk;Jumlah;Harga satuan",
    "Vietnamese": "Mã đơn hàng;Ngày đặt hàng;Mã khách hàng;Mã sản phẩm;Số lượng;Đơn giá",
    "Japanese": "注文番号;注文日;顧客コード;商品コード;数量;単価",
    "Chinese": "订单编号;订单日期;客户编号;商品编码;数量;单价",
    "Korean": "주문번호;주문일자;고객번호;상품코드;수량;단가",
    "Arabic": "رقم الطلب;تاريخ الطلب;رقم العميل;رمز المنتج;الكمية;السعر",
    "Hebrew": "מספר הזמנה;תאריך הזמנה;מספר לקוח;קוד מוצר;כמות;מחיר",
}
VALUES = (["1001", "1002"], ["2025-01-31", "2025-02-01"], ["K17", "K18"], ["A-1", "B-2"], ["1", "2"], ["1.50", "9.95"])


@pytest.mark.parametrize("language", HEADERS)
def test_roles_are_known_in_many_languages(language):
    header = HEADERS[language].split(";")
    columns = {name: dict.fromkeys(values, 1) for name, values in zip(header, VALUES, strict=True)}
    found = match(dict(reversed(columns.items())))
    assert {role: found[role].column for role in ROLES if role in found} == dict(zip(ROLES, header, strict=True))


@pytest.mark.parametrize(
    "header",
    ["Ship Date", "Versanddatum", "Date d'expédition", "MwSt.", "Frais de port", "Nº artículos", "Cena zakupu", "Row ID"],
)
def test_headers_of_other_things_have_no_role(header):
    assert is_other(header)
    assert [role for role in (*ROLES, "amount") if name_score(role, header)] == []


@pytest.mark.parametrize("header", ["Price incl. VAT", "Prix TTC", "Cena brutto", "Preis inkl. MwSt."])
def test_a_price_with_tax_is_a_price(header):
    assert name_score("price", header) > name_score("amount", header)
    assert not is_other(header)


def test_an_exact_name_beats_a_part_of_one():
    assert name_score("amount", "total") > name_score("amount", "total_items") == 0
    assert name_score("customer_id", "Customer ID") > name_score("customer_id", "Email") > name_score("customer_id", "Name")


def test_letters_of_every_script_are_compared_without_accents():
    assert [plain_words(word) for word in ("Größe", "Ilość", "Nº", "Číslo", "İpek")] == ["grosse", "ilosc", "n", "cislo", "ipek"]
    assert plain_words("注文 番号") == "注文番号"


def test_row_numbers_and_long_ids_are_no_money():
    rows = facts_of({str(number): 1 for number in range(100)})
    ids = facts_of({f"71234500{number}": 2 for number in range(10, 99)})
    prices = facts_of({f"{number}.50": 1 for number in range(1, 60)})
    assert (rows.money, ids.money, prices.money) == (False, False, True)


def test_a_customer_is_no_constant():
    found = match({"Customer": {"Main street": 60}, "Client": {f"K{number}": 3 for number in range(20)}})
    assert found["customer_id"].column == "Client"


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("Paid", "sold"), ("wc-completed", "sold"), ("Bezahlt", "sold"), ("Opłacone", "sold"), ("已完成", "sold"),
        ("Pending payment", "not_sold"), ("Storniert", "not_sold"), ("En attente", "not_sold"), ("Anulowane", "not_sold"),
        ("Return", "refunds"), ("Gutschrift", "refunds"), ("Devolução", "refunds"), ("partially_refunded", "open"), ("blue", ""),
    ],
)  # fmt: skip
def test_words_for_what_became_of_an_order_are_known(value, meaning):
    assert meaning_of(value) == meaning


def test_no_word_has_two_meanings():
    meanings = [one for one in STATUSES if one != "early"]  # those of states that a sale passes first have another one as well
    twice = [word for one in meanings for other in meanings if one < other for word in STATUSES[one] & STATUSES[other]]
    assert twice == []


@pytest.mark.parametrize(
    "header",
    [
        "Email (Billing)",
        "E-Mail (Rechnung)",
        "Email (Facturación)",
        "注文者メールアドレス",
        "Buyer Email Address",
        "Klant e-mail",
    ],
)
def test_an_address_of_who_pays_is_a_customer(header):
    assert name_score("customer_id", header) > name_score("customer_id", "Nombre del comprador") > 0
    assert not name_score("customer_id", "Shipping Email")


@pytest.mark.parametrize(("lines", "column"), [(9, "Email"), (3, "Customer Name")])
def test_an_address_that_few_lines_have_is_no_customer(lines, column):
    columns = {"Email": {f"u{number}@example.org": 1 for number in range(lines)}, "Customer Name": {"Ann Bell": 5, "Tom Hill": 4}}
    assert match(columns)["customer_id"].column == column


@pytest.mark.parametrize("other", ["Customer", "Customer Name"])
def test_an_id_is_no_rival_of_a_name(other):
    found = match({"Customer ID": {"17": 2, "18": 1}, other: {"Ann Bell": 2, "Tom Hill": 1}})["customer_id"]
    assert (found.column, found.sure) == ("Customer ID", "sure")


def test_columns_that_repeat_each_other_are_no_rivals():
    net, gross = {"1.50": 2, "3.25": 1}, {"1.50": 2, "3.25": 1}
    assert match({"Net sales": net, "Gross sales": gross})["amount"].sure == "sure"
    assert match({"Net sales": net, "Gross sales": {"1.60": 2, "3.30": 1}})["amount"].sure == "unsure"


def test_the_earliest_of_unnamed_dates_is_the_date():
    found = match({"Fin": {"2026-02-03": 1, "2026-02-04": 1}, "Début": {"2026-02-01": 1, "2026-02-03": 1}})["invoice_date"]
    assert (found.column, found.sure) == ("Début", "unsure")
    assert match({"Début": {"2026-02-01": 1, "2026-02-03": 1}})["invoice_date"].sure == "likely"


MEANINGS = {  # states as shop systems write them
    "sold": "Sales Order;Locked;Paid out;Komplett abgeschlossen;Komplett bezahlt;Paiement accepté;Livré;Expédié;発送済"
    ";Abierta;Cerrada;En cours de préparation;Confirmado;Express Checkout Payment;Mobile Payment;Subscription Payment",
    "open": "Offen;Teilweise bezahlt;In Bearbeitung;Partially refunded",
    "not_sold": "Quotation;Quotation Sent;Abgebrochen;Erreur de paiement;Remboursé;Annulé;En attente de paiement"
    ";キャンセル確定;Cancelada;Pendiente;General Withdrawal;Fee;Currency Conversion;Hold;General Credit Card Deposit;FAIL",
    "refunds": "Payment Refund;Payment Reversal;Credit memo",
}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_states_of_known_systems_have_a_meaning(meaning):
    states = MEANINGS[meaning].split(";")
    assert {state: meaning_of(state) for state in states} == dict.fromkeys(states, meaning)
