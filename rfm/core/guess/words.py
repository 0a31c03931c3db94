"""What shops call their columns, in six languages, and what they write into some of them: all the words, as data.

Words stand as `plain` gives them, the surest first: where two columns fit, the one whose word stands earlier is taken.
"""

from __future__ import annotations

import re
import unicodedata


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


def plain(text: object) -> str:
    """Return a text without case, accents, blanks and marks.

    Examples
    --------
    >>> plain("Kunden-Nr."), plain("N° de commande"), plain("Quantité"), plain("Straße")
    ('kundennr', 'ndecommande', 'quantite', 'strasse')
    """
    letters = unicodedata.normalize("NFD", str(text).casefold())
    return re.sub(r"[^0-9a-z]", "", letters)
