"""The encoding of a file, by the words of its header and the letters of its lines."""

from __future__ import annotations

import pytest

from rfm.onboarding.sniff import encoding_of

TEXTS = {
    "cp1252": ("Bestellnummer,Käufer", "Jörg Müller"), "cp850": ("Bestellnummer,Käufer", "Käthe Weiß"),
    "mac_roman": ("N° commande,Client", "Hélène Lefèvre"), "cp1250": ("Číslo objednávky,Zákazník", "Jiří Dvořák"),
    "iso8859_2": ("Numer zamówienia,Wartość", "Łukasz Śliwa Żak"), "cp1251": ("Номер заказа,Покупатель", "Иван Петров"),
    "koi8_r": ("Номер заказа,Покупатель", "Иван Петров"), "cp866": ("Номер заказа,Покупатель", "Иван Петров"),
    "cp1253": ("Αριθμός παραγγελίας,Πελάτης", "Ελένη Κώστα"), "cp1254": ("Sipariş No,Müşteri", "Ayşe Yılmaz"),
    "cp1255": ("מספר הזמנה,לקוח", "דוד כהן"), "cp1256": ("رقم الطلب,العميل", "محمد علي"), "cp932": ("注文番号,顧客", "山田太郎"),
    "euc_jp": ("注文番号,顧客", "山田太郎の店"), "gb18030": ("订单编号,客户", "王小明"), "big5": ("訂單編號,客戶", "王小明"),
    "cp949": ("주문번호,고객", "김철수"), "utf-16-le": ("Номер заказа,Покупатель", "Иван"),
    "utf-16-be": ("注文番号,顧客", "山田太郎"),
}  # fmt: skip


def written(codec: str, *lines: str) -> str:
    """Return the setting for a file of these lines and many orders; ``auto`` reads Windows-1252."""
    return encoding_of("\n".join([lines[0], *[f"{i},{lines[1]}" for i in range(40)]]).encode(codec))[1].replace("auto", "cp1252")


@pytest.mark.parametrize("codec", TEXTS)
def test_words_of_a_header_tell_the_encoding(codec):
    assert written(codec, *TEXTS[codec]) == codec


@pytest.mark.parametrize("codec", [one for one in TEXTS if one not in ("iso8859_2", "big5")])
def test_letters_of_the_lines_tell_the_encoding(codec):
    assert written(codec, "order id,customer", TEXTS[codec][1]) == codec


def test_zeros_in_a_text_do_not_make_it_utf_16():
    assert encoding_of(b"order,date\n" + b"1,2026-03-01\0\0\n" * 40) == ("ASCII", "auto")
