"""What shops call their columns, in six languages, and what they write into some of them: all the words, as data.

Words stand as `plain` gives them, the surest first: where two columns fit, the one whose word stands earlier is taken.

Which column of a file is which: by the words of its header and by its values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from rfm.onboarding.formats import dates_of, number_of, numbers_of, without_sign


# ── words ────────────────────────────────────────────────────────────
def _words(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


WORDS: dict[str, tuple[str, ...]] = {  # column of a sale: words in English, German, French, Spanish, Italian, Dutch
    "invoice": _words(
        """invoice invoiceno invoicenumber invoiceid invoicenr orderid order orderno ordernumber ordernr transactionid transaction
        transactionno transactionnumber receipt receiptid receiptno receiptnumber basketid basket saleid salesorder billid billno
        documentno document bill purchaseid cartid ticketid ticket
        rechnung rechnungsnr rechnungsnummer rechnungnr belegnr belegnummer beleg bestellnr bestellnummer bestellung auftragsnr
        auftragsnummer auftrag bonnr bonnummer vorgangsnummer
        facture numerofacture numerodefacture numfacture nofacture nfacture commande numerocommande numerodecommande numcommande
        nocommande ncommande ndecommande ndefacture piece
        factura numerofactura numerodefactura numfactura nofactura nfactura pedido numeropedido numerodepedido numpedido npedido
        idpedido albaran
        fattura numerofattura nfattura ordine numeroordine nordine idordine scontrino numeroscontrino
        factuur factuurnummer factuurnr bestelling bestelnummer bestelnr ordernummer bon name"""
    ),
    "stock_code": _words(
        """stockcode sku productcode productid productno productnumber productsku itemcode itemid itemno itemnumber itemsku
        lineitemsku articlecode articleid articleno articlenumber partno partnumber variantsku variantid asin ean upc barcode
        artikelnr artikelnummer artnr produktnr produktnummer produktid warennummer materialnummer artikel
        codearticle codeproduit referenceproduit refproduit reference ref idproduit article
        codigoarticulo codigoproducto codproducto idproducto referencia articulo codigo
        codicearticolo codiceprodotto idprodotto articolo codice
        artikelcode productnummer productnr"""
    ),
    "description": _words(
        """description productname itemname productdescription itemdescription producttitle lineitemname product item title
        bezeichnung artikelbezeichnung warenbezeichnung beschreibung produktname artikelname produkt
        designation libelle nomproduit descriptif produit
        descripcion nombreproducto denominacion concepto producto
        descrizione nomeprodotto denominazione prodotto
        omschrijving artikelomschrijving productomschrijving productnaam artikelnaam beschrijving"""
    ),
    "quantity": _words(
        """quantity qty quantityordered orderquantity quantitypurchased quantitysold lineitemquantity itemquantity units unitssold
        pieces pcs numberofitems items count
        menge anzahl stueckzahl stuckzahl stueck stuck stk bestellmenge
        quantite qte nombre nb
        cantidad cant unidades uds
        quantita qta pezzi
        aantal hoeveelheid stuks"""
    ),
    "price": _words(
        """unitprice priceperunit pricepereach priceeach itemprice lineitemprice price sellingprice saleprice
        einzelpreis stueckpreis stuckpreis preisprostueck preisprostuck einheitspreis verkaufspreis vkpreis epreis preis
        prixunitaire puttc puht pu prixttc prixht prix
        preciounitario preciounidad pvp precio
        prezzounitario prezzounit prezzo
        stukprijs eenheidsprijs prijsperstuk verkoopprijs prijs"""
    ),
    "amount": _words(
        """amount linetotal lineamount totalprice totalamount extendedprice ordertotal ordervalue grandtotal total revenue sales
        totalsales netsales spend spent turnover value netamount grossamount subtotal amountpaid paid payment purchaseamount
        transactionamount dollars sum
        betrag summe gesamtpreis gesamtbetrag gesamt umsatz rechnungsbetrag bestellwert warenwert endbetrag zeilenbetrag
        bruttobetrag nettobetrag brutto netto wert
        montantttc montantht montant totalttc totalht prixtotal chiffredaffaires ca somme valeur
        importe importetotal monto preciototal ventas valor
        importo importototale totale prezzototale fatturato valore
        bedrag totaalbedrag totaal totaalprijs omzet waarde"""
    ),
    "customer_id": _words(
        """customerid customerno customernumber customercode customernr custid custno customerkey customer clientid clientno
        accountid accountno accountnumber account memberid memberno userid buyerid shopperid personid consumerid contactid
        householdkey loyaltyid cardnumber cardno customeremail email emailaddress client member user buyer customername
        kundennr kundennummer kundenid kdnr kdnummer kunde debitornr debitorennr debitorennummer debitor mitgliedsnummer kaeufer
        numeroclient numclient codeclient idclient nclient refclient acheteur
        numerocliente numcliente codigocliente codcliente idcliente ncliente cliente
        codicecliente
        klantnummer klantnr klantid klantcode klant debiteurnummer debiteur relatienummer name"""
    ),
    "country": _words(
        """country countrycode customercountry shippingcountry billingcountry countryname nation
        land lieferland laendercode landercode rechnungsland
        pays paysdelivraison codepays
        pais paisenvio
        paese nazione
        landcode"""
    ),
    "invoice_date": _words(
        """invoicedate orderdate transactiondate purchasedate saledate salesdate orderdatetime orderpurchasetimestamp
        datepurchased dateofpurchase date datetime timestamp createdat created orderedat paidat processedat documentdate
        postingdate day
        rechnungsdatum bestelldatum auftragsdatum belegdatum kaufdatum verkaufsdatum datum buchungsdatum tag
        datefacture datedefacture datecommande datedecommande dateachat horodatage jour
        fechafactura fechapedido fechacompra fechaventa fecha dia
        datafattura dataordine dataacquisto datavendita data giorno
        factuurdatum besteldatum aankoopdatum verkoopdatum dag"""
    ),
    "cancelled": _words(
        """cancelled canceled iscancelled iscanceled cancellation iscancellation refunded isrefund returned isreturn voided void
        orderstatus financialstatus status
        storno storniert stornokennzeichen retoure gutschrift
        annule annulee annulation retour avoir statut
        cancelado cancelada anulado anulada devolucion devuelto estado
        annullato annullata stornato reso stato
        geannuleerd annulering gecrediteerd"""
    ),
    "currency": _words("currency currencycode waehrung wahrung devise monnaie moneda divisa valuta"),
}
NOBODY = frozenset(
    _words(  # what stands for no customer
        """0 -1 999999 guest guestcheckout gast gastbestellung invite invitado ospite anonymous anonym anonyme na null none nan
    unknown unbekannt inconnu walkin cash bar laufkunde"""
    )
)
FLAGS = frozenset(  # what stands in a column that marks cancelled lines; 0 and 1 too
    _words(
        """true false yes no y n x 0 1 ja nein j oui non o si s vrai faux wahr falsch verdadero falso vero nee waar
        cancelled canceled refunded returned return void voided storno storniert retoure gutschrift annule annulee retour avoir
        cancelado anulado devuelto annullato stornato reso geannuleerd
        paid pending complete completed shipped delivered open closed ok sale bezahlt offen versendet"""
    )
)
NO_PRODUCT = (  # beginnings of stock codes that are no products
    "post", "postage", "shipping", "ship", "delivery", "versand", "porto", "fracht", "portofrei", "fraisdeport", "port", "envio",
    "spedizione", "verzend", "gift", "voucher", "gutschein", "bon", "cadeau", "discount", "rabatt", "remise", "descuento",
    "sconto", "korting", "fee", "bank", "adjust", "manual", "test", "dot", "tip", "m", "d", "s", "c2",
)  # fmt: skip
ZONES = {  # country as `plain` gives it: its time zone, where it has one
    "unitedkingdom": "Europe/London", "uk": "Europe/London", "gb": "Europe/London", "england": "Europe/London",
    "eire": "Europe/Dublin", "ireland": "Europe/Dublin", "ie": "Europe/Dublin",
    "germany": "Europe/Berlin", "deutschland": "Europe/Berlin", "de": "Europe/Berlin",
    "austria": "Europe/Vienna", "osterreich": "Europe/Vienna", "at": "Europe/Vienna",
    "switzerland": "Europe/Zurich", "schweiz": "Europe/Zurich", "ch": "Europe/Zurich",
    "france": "Europe/Paris", "fr": "Europe/Paris", "belgium": "Europe/Brussels", "belgique": "Europe/Brussels",
    "belgie": "Europe/Brussels", "be": "Europe/Brussels",
    "spain": "Europe/Madrid", "espana": "Europe/Madrid", "es": "Europe/Madrid", "portugal": "Europe/Lisbon",
    "italy": "Europe/Rome", "italia": "Europe/Rome", "it": "Europe/Rome",
    "netherlands": "Europe/Amsterdam", "nederland": "Europe/Amsterdam", "nl": "Europe/Amsterdam",
    "poland": "Europe/Warsaw", "sweden": "Europe/Stockholm", "denmark": "Europe/Copenhagen", "norway": "Europe/Oslo",
}  # fmt: skip


def plain_words(text: object) -> str:
    """Return a text without case, accents, blanks and marks."""
    letters = unicodedata.normalize("NFD", str(text).casefold())
    return re.sub(r"[^0-9a-z]", "", letters)


# ── columns ────────────────────────────────────────────────────────────
Sure = Literal["sure", "likely", "unsure"]
Values = Mapping[str, int]
WORD, WEAK, PART, VALUE = 1.0, 0.6, 0.5, 0.5  # what counts: a header that is a word, a vague word, one that holds it; values
VAGUE = frozenset({"name", "title", "data", "article", "item", "ticket", "type"})  # words that are used for other things, too
SHORTEST_PART = 4


class Role(NamedTuple):
    """What a column can be taken for."""

    fits: Callable[[Values], float]
    least: float
    said: str
    by_values: float = 2.0


class Match(NamedTuple):
    """A column taken for something."""

    column: str
    sure: Sure
    reason: str


def _share(values: Values, test: Callable[[str], object]) -> float:
    """Return the share of values that pass a test."""
    rows = sum(values.values())
    return sum(count for value, count in values.items() if test(value)) / rows if rows else 0.0


def _dates(values: Values) -> float:
    return dates_of(values).share if any(re.search("[0-9]", value) for value in values) else 0.0


def _numbers(values: Values) -> float:
    return numbers_of(values).share


def _whole(values: Values) -> float:
    found = numbers_of(values)
    numbers = (number_of(without_sign(value), found.decimal, found.thousands) for value in values)
    whole = {value for value, number in zip(values, numbers, strict=True) if number is not None and number == int(number)}
    return _share(values, whole.__contains__)


def _fractions(values: Values) -> float:
    """Return 1 for numbers of which some have decimals."""
    numbers = _numbers(values)
    return numbers if numbers > 0.9 and _whole(values) < 0.9 else 0.0


def _identity(values: Values) -> float:
    """Return 0 for dates, for numbers with decimals and for sentences."""
    spoken = _share(values, lambda value: value.count(" ") > 3)
    return 0.0 if _fractions(values) or (_dates(values) > 0.5 and not _plain_numbers(values)) else 1.0 - spoken


def _plain_numbers(values: Values) -> bool:
    """Tell whether all values are digits alone, which dates without marks could be, too."""
    return all(re.fullmatch("[0-9]+", value) for value in values)


def _number_of_paper(values: Values) -> float:
    """Return the share of values of identities that hold a digit."""
    return min(_identity(values), _share(values, lambda value: re.search("[0-9]", value)))


def _places(values: Values) -> float:
    return _share(values, lambda value: not re.search("[0-9]", value) and len(value) < 40)


def _flags(values: Values) -> float:
    return _share(values, lambda value: plain_words(value) in FLAGS) if len(values) <= 12 else 0.0


ROLES: dict[str, Role] = {
    "invoice_date": Role(_dates, 0.3, "dates", 0.9),
    "price": Role(_numbers, 0.3, "numbers"),
    "amount": Role(_numbers, 0.3, "numbers", 0.9),
    "quantity": Role(_whole, 0.3, "whole numbers"),
    "invoice": Role(_number_of_paper, 0.8, "numbers of invoices"),
    "stock_code": Role(_identity, 0.5, "codes"),
    "customer_id": Role(_identity, 0.5, "ids", 0.9),
    "country": Role(_places, 0.5, "places"),
    "cancelled": Role(_flags, 0.8, "marks"),
    "description": Role(lambda values: 1.0 - _dates(values), 0.5, "texts"),
    "currency": Role(lambda values: float(len(values) <= 20) * _places(values), 0.5, "currencies"),
}


def match(columns: Mapping[str, Values]) -> dict[str, Match]:
    """Return which column is taken for what."""
    scores = {
        (role, column): found for role in ROLES for column, values in columns.items() if (found := _score(role, column, values))
    }
    taken: dict[str, Match] = {}
    for role, column in sorted(scores, key=lambda pair: (-scores[pair][0], list(ROLES).index(pair[0]))):
        if role not in taken and column not in {one.column for one in taken.values()}:
            taken[role] = _matched(role, column, scores)
    for role in ROLES:
        if role not in taken and (lone := _lone(role, {name: columns[name] for name in columns if not _used(name, taken)})):
            taken[role] = Match(lone, "unsure", f"no known name, but the only {ROLES[role].said}")
    return taken


def named_for(role: str, columns: Iterable[str]) -> str:
    """Return the column whose name says a role best, whatever its values; empty if none does."""
    best = max(columns, key=lambda column: _word(role, plain_words(column)), default="")
    return best if _word(role, plain_words(best)) > PART else ""


def _used(column: str, taken: Mapping[str, Match]) -> bool:
    return column in {one.column for one in taken.values()}


def _score(role: str, column: str, values: Values) -> tuple[float, bool, float] | None:
    """Return how well a column fits a role, whether its header is a word for it, and the share of values that fit."""
    word = _word(role, plain_words(column))
    if not word or not values:
        return (word, word > PART, 0.0) if word > PART and not values else None
    fits = ROLES[role].fits(values)
    return (word + VALUE * fits, word > PART, fits) if fits >= ROLES[role].least else None


def _word(role: str, header: str) -> float:
    """Return how well a header fits the words of a role; 0 if not at all."""
    words = WORDS[role]
    if header in words:
        return (WEAK if header in VAGUE else WORD) - 0.1 * words.index(header) / len(words)
    parts = [word for word in words if len(word) >= SHORTEST_PART and (header.startswith(word) or header.endswith(word))]
    return PART * len(max(parts, key=len)) / len(header) if parts else 0.0


def _matched(role: str, column: str, scores: Mapping[tuple[str, str], tuple[float, bool, float]]) -> Match:
    """Return a column taken for a role, with how sure that is and why."""
    _, word, fits = scores[role, column]
    rival = next((other for one, other in scores if one == role and other != column and _close(scores, role, column, other)), "")
    said = f"{'all' if fits == 1 else f'{fits:.0%} of'} values fit" if fits else "but empty"
    if rival:
        return Match(column, "unsure", f"{rival!r} could be it as well")
    sure: Sure = "sure" if fits >= 0.9 and _word(role, plain_words(column)) > WEAK else "likely"
    return Match(column, sure, f"{'named so' if word else 'named like it'}, {said}")


def _close(scores: Mapping[tuple[str, str], tuple[float, bool, float]], role: str, column: str, other: str) -> bool:
    """Tell whether another column fits a role as well, and no other role better."""
    best = max(scores[pair][0] for pair in scores if pair[1] == other)
    return scores[role, other][0] >= scores[role, column][0] - 0.02 and scores[role, other][0] >= best


def _lone(role: str, columns: Mapping[str, Values]) -> str:
    """Return the only column whose values tell a role by themselves; empty if there is none or more than one."""
    test = _fractions if role == "amount" else ROLES[role].fits
    fitting = [column for column, values in columns.items() if values and test(values) >= ROLES[role].by_values]
    if role == "customer_id":
        fitting = [column for column in fitting if _repeats(columns[column])]
    return fitting[0] if len(fitting) == 1 else ""


def _repeats(values: Values) -> bool:
    """Tell whether values are many, and some of them come again."""
    return 2 < len(values) < sum(values.values())
