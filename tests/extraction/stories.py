"""One short report in each of the model's eight languages: what a document of any format says, and must give back."""

from __future__ import annotations

from dataclasses import dataclass

AUTHOR = "Zoë Müller-Łukasz"
CREATED = "2026-03-14T09:26:53Z"


@dataclass(frozen=True, slots=True)
class Story:
    """A title, two sections with a paragraph each, a list, a table whose first row is its head, and who wrote it."""

    language: str
    title: str
    first: tuple[str, str]
    second: tuple[str, str]
    items: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    author: str = AUTHOR
    address: str = "zoe@example.com"

    @property
    def columns(self) -> int:
        return len(self.table[0])

    @property
    def in_order(self) -> list[str]:
        """Everything that a reader must find, in the order of reading."""
        return [*self.first, *self.second, *self.items, *(cell for row in self.table for cell in row)]


STORIES = {
    story.language: story
    for story in (
        Story(
            "en",
            "Report on the harbour bridge",
            ("What happened", "The bridge was closed on Monday because a bearing had cracked in the frost."),
            ("What it costs", "The council has set aside money for the repair, which will take three weeks."),
            ("inspect every bearing", "reopen the footpath first"),
            (("Item", "Price"), ("Bearings", "1,250"), ("Night shifts", "980")),
        ),
        Story(
            "de",
            "Bericht über die Hafenbrücke",
            ("Was geschah", "Die Brücke wurde am Montag gesperrt, weil ein Lager im Frost gerissen war."),
            ("Was es kostet", "Für die Ausbesserung, die drei Wochen dauert, hat der Rat Geld zurückgelegt."),
            ("jedes Lager prüfen", "zuerst den Fußweg öffnen"),
            (("Posten", "Preis"), ("Lager", "1.250"), ("Nachtschichten", "980")),
        ),
        Story(
            "fr",
            "Rapport sur le pont du port",
            ("Ce qui s’est passé", "Le pont a été fermé lundi parce qu’un appui s’était fissuré sous le gel."),
            ("Ce que cela coûte", "Le conseil a réservé des fonds pour les travaux, qui dureront trois semaines."),
            ("contrôler chaque appui", "rouvrir d’abord le passage piéton"),
            (("Poste", "Prix"), ("Appuis", "1 250"), ("Équipes de nuit", "980")),
        ),
        Story(
            "it",
            "Relazione sul ponte del porto",
            ("Che cosa è successo", "Il ponte è stato chiuso lunedì perché un appoggio si era crepato per il gelo."),
            ("Quanto costa", "Il consiglio ha già messo da parte i fondi per i lavori, che dureranno tre settimane."),
            ("controllare ogni appoggio", "riaprire prima il passaggio pedonale"),
            (("Voce", "Prezzo"), ("Appoggi", "1.250"), ("Turni di notte", "980")),
        ),
        Story(
            "pt",
            "Relatório sobre a ponte do porto",
            ("O que aconteceu", "A ponte foi fechada na segunda-feira porque um apoio tinha rachado com a geada."),
            ("Quanto custa", "A câmara reservou verbas para a reparação, que não deve passar de três semanas."),
            ("inspecionar cada apoio", "reabrir primeiro a passagem de peões"),
            (("Rubrica", "Preço"), ("Apoios", "1.250"), ("Turnos da noite", "980")),
        ),
        Story(
            "hi",
            "बंदरगाह के पुल पर रिपोर्ट",
            ("क्या हुआ", "पाले में एक बेयरिंग टूट जाने के कारण पुल सोमवार को बंद कर दिया गया।"),
            ("कितना खर्च होगा", "परिषद ने मरम्मत के लिए पैसे अलग रखे हैं और काम तीन सप्ताह चलेगा।"),
            ("हर बेयरिंग की जाँच करें", "पहले पैदल रास्ता खोलें"),
            (("मद", "कीमत"), ("बेयरिंग", "1,250"), ("रात की पाली", "980")),
        ),
        Story(
            "es",
            "Informe sobre el puente del puerto",
            ("Qué ocurrió", "El puente se cerró el lunes porque un apoyo se había agrietado con la helada."),
            ("Cuánto cuesta", "El ayuntamiento ha reservado fondos para la obra, que durará tres semanas."),
            ("revisar cada apoyo", "abrir primero el paso de peatones"),
            (("Concepto", "Precio"), ("Apoyos", "1.250"), ("Turnos de noche", "980")),
        ),
        Story(
            "th",
            "รายงานเรื่องสะพานท่าเรือ",
            ("เกิดอะไรขึ้น", "สะพานถูกปิดในวันจันทร์เพราะแบริ่งตัวหนึ่งแตกร้าวเนื่องจากน้ำค้างแข็ง"),
            ("ค่าใช้จ่าย", "สภาได้กันเงินไว้สำหรับการซ่อมแซมซึ่งจะใช้เวลาสามสัปดาห์"),
            ("ตรวจสอบแบริ่งทุกตัว", "เปิดทางเดินเท้าก่อน"),
            (("รายการ", "ราคา"), ("แบริ่ง", "1,250"), ("กะกลางคืน", "980")),
        ),
    )
}
