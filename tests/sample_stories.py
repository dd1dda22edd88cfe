"""What the sample documents say that are neither text nor a page: business papers of invented firms, in eight "
"languages."""

from __future__ import annotations

from tests.extraction.stories import Story

GARAGE = Story(
    "en",
    "Tenancy agreement for a garage",
    (
        "Subject and term",
        "Brackwater Lettings (the landlord) lets garage 14 in Tannery Yard to the tenant named in the schedule, for "
        "the keeping of one private vehicle and of household goods that do not burn easily. The tenancy begins on 1 "
        "April 2026 and runs for twelve months. It then continues from month to month until either party ends it in "
        "writing with one full month's notice.",
    ),
    (
        "Rent, deposit and liability",
        "The rent is due in advance on the third working day of each month. Where it is more than fourteen days late, "
        "the landlord may charge interest at four per cent above the base rate. The deposit is returned within thirty "
        "days of the end of the tenancy, less the cost of damage beyond fair wear. The landlord is not liable for "
        "what is stored in the garage; the tenant insures it.",
    ),
    (
        "no repairs, no running of engines and no sub-letting",
        "the landlord may enter after two days' notice, in an emergency at once",
        "both parties have signed two copies and keep one each",
    ),
    (
        ("Charge", "Amount", "Due"),
        ("Rent", "GBP 96.00", "monthly"),
        ("Electricity, flat rate", "GBP 4.50", "monthly"),
        ("Deposit", "GBP 192.00", "once, on signing"),
    ),
    "Brackwater Lettings",
)

GAZETTE = (
    (
        "Ferry pier opens a month early",
        "",
        "The new ferry pier at Skerrow Haven",
        "opened on Saturday, a month before",
        "the date that the port had named.",
        "Some 3,000 people walked across it",
        "before the first boat came in, and",
        "the town band played in the rain.",
        "The port says that the mild winter",
        "saved three weeks of diving, and",
        "that the work cost 2 per cent less",
        "than was set aside for it.",
        "From Monday there are nine boats a",
        "day to the islands, two more than",
        "last spring. The first one leaves",
        "at ten to six, in time for the early",
        "shift at the fish market. The old",
        "pier is taken down in summer; its",
        "oak goes to the boat builders of",
        "the harbour school.",
    ),
    (
        "Market hall stays shut until May",
        "",
        "The market hall will not open again",
        "in March, as was hoped. Engineers",
        "found rot in two of the roof beams",
        "when the old plaster came down.",
        "Forty traders will keep their tents",
        "on the quay for eight more weeks.",
        "The council has halved their rent.",
        "A fund for stalls that have lost",
        "trade is open until 30 April; forms",
        "lie at the library and town hall.",
        "The traders call that too little.",
        "In January, they say, every third",
        "customer stayed away, and on stormy",
        "days nobody came at all. They want",
        "the hall in two halves, so that one",
        "can open at Easter. The engineers",
        "will say by the end of the month if",
        "that is safe.",
    ),
)

CLEANING = Story(
    "de",
    "Vertrag über die Reinigung von Büroräumen",
    (
        "Leistungen und Laufzeit",
        "Die Blinkfeld Gebäudedienste GmbH (Auftragnehmerin) reinigt die Büroräume der Kontorhaus Genossenschaft "
        "(Auftraggeberin) an fünf Werktagen in der Woche nach 18 Uhr. Der Vertrag beginnt am 1. Mai 2026 und läuft "
        "zwei Jahre. Er verlängert sich um jeweils ein Jahr, wenn ihn keine Seite drei Monate vor Ablauf schriftlich "
        "kündigt.",
    ),
    (
        "Vergütung und Haftung",
        "Die Vergütung wird am Monatsende in Rechnung gestellt und ist binnen 14 Tagen fällig. Mängel sind am "
        "nächsten Werktag zu melden und werden ohne Berechnung behoben. Für Schäden haftet die Auftragnehmerin bis "
        "zur Höhe ihrer Versicherung von 2 Mio. Euro.",
    ),
    ("Schlüssel werden gegen Quittung übergeben.", "Fenster werden zweimal im Jahr geputzt."),
    (
        ("Leistung", "Häufigkeit", "Preis"),
        ("Böden und Teppiche", "täglich", "1.180,00 €"),
        ("Sanitärräume", "täglich", "420,00 €"),
        ("Teeküchen", "zweimal wöchentlich", "165,00 €"),
        ("Glasflächen", "halbjährlich", "390,00 €"),
    ),
    "Blinkfeld Gebäudedienste GmbH",
)

MOORING = Story(
    "th",
    "สัญญาเช่าท่าจอดเรือ",
    (
        "วัตถุประสงค์และระยะเวลา",
        "ผู้ให้เช่าคือท่าเรือบึงบัวทอง ตกลงให้ผู้เช่าใช้ท่าจอดเรือหมายเลข 7 สำหรับเรือยาวไม่เกินสิบสองเมตร "
        "สัญญานี้มีผลตั้งแต่วันที่ 1 พฤษภาคม 2569 เป็นเวลาหนึ่งปี "
        "และต่ออายุได้เมื่อทั้งสองฝ่ายตกลงกันเป็นลายลักษณ์อักษรก่อนสัญญาสิ้นสุดสามสิบวัน",
    ),
    (
        "ค่าเช่าและความรับผิด",
        "ผู้เช่าต้องชำระค่าเช่าภายในวันที่ห้าของทุกเดือน หากชำระล่าช้าเกินเจ็ดวันต้องเสียค่าปรับวันละหนึ่งร้อยบาท "
        "ผู้ให้เช่าไม่รับผิดชอบต่อทรัพย์สินภายในเรือ และผู้เช่าต้องทำประกันภัยเรือตลอดอายุสัญญา",
    ),
    ("ห้ามทิ้งน้ำมันหรือขยะลงน้ำ", "ห้ามให้ผู้อื่นเช่าช่วง", "การบอกเลิกสัญญาต้องแจ้งล่วงหน้าหนึ่งเดือน"),
    (("รายการ", "จำนวนเงิน"), ("ค่าเช่ารายเดือน", "3,500 บาท"), ("ค่าน้ำและไฟฟ้า", "400 บาท"), ("เงินประกัน", "7,000 บาท")),
    "ท่าเรือบึงบัวทอง",
)

WORKS_COUNCIL = Story(
    "de",
    "Betriebsversammlung im ersten Quartal",
    (
        "Bericht des Betriebsrats",
        "Anwesend waren 184 von 231 Beschäftigten. Der Betriebsrat berichtet über die neue Vereinbarung zur mobilen "
        "Arbeit: zwei Tage in der Woche sind nach Absprache im Team möglich. Die Schichtpläne hängen künftig sechs "
        "statt vier Wochen im Voraus aus.",
    ),
    (
        "Beschlüsse und Aufgaben",
        "Die Versammlung stimmt dem Ideenwettbewerb mit 171 Ja-Stimmen bei 13 Enthaltungen zu. Der Antrag auf eine "
        "Kantine am Standort Nord wird vertagt, bis ein Angebot vorliegt. Die Geschäftsführung sagt eine Antwort bis "
        "Ende April zu.",
    ),
    ("Angebot für die Kantine einholen", "Lärm in Halle 3 messen lassen", "nächste Versammlung am 18. Juni"),
    (("Thema", "Ja", "Nein"), ("Ideenwettbewerb", "171", "0"), ("Betriebsausflug im September", "152", "27")),
    "Betriebsrat der Feldmark Getriebe GmbH",
)

CHOIR = Story(
    "pt",
    "Ata da reunião da direção do coro",
    (
        "Presenças e ordem de trabalhos",
        "Reuniram-se na sede os sete membros da direção do Coro da Ribeira Nova. A ata da reunião anterior foi "
        "aprovada por unanimidade. A tesouraria apresentou as contas do primeiro trimestre, que fecharam com um saldo "
        "positivo de 412 euros.",
    ),
    (
        "Deliberações",
        "Foi decidido, com seis votos a favor e uma abstenção, cancelar o concerto de maio por falta de sala e "
        "procurar uma data em junho. A quota mensal passa de 10 para 12 euros a partir de setembro. Não houve acordo "
        "sobre as novas capas, e o assunto volta em abril.",
    ),
    (
        "pedir à junta de freguesia a sala de junho",
        "escrever aos sócios sobre a quota",
        "comparar três orçamentos para as capas",
    ),
    (
        ("Rubrica", "Receita", "Despesa"),
        ("Quotas", "630 €", ""),
        ("Partituras", "", "118 €"),
        ("Transporte", "", "100 €"),
    ),
    "Coro da Ribeira Nova",
)

READING_ROOM = Story(
    "hi",
    "वाचनालय समिति की बैठक का कार्यवृत्त",
    (
        "उपस्थिति और रिपोर्ट",
        "बैठक में समिति के नौ में से आठ सदस्य उपस्थित थे। पिछली बैठक का कार्यवृत्त सर्वसम्मति से स्वीकार किया गया। "
        "पिछले तीन महीनों में 1,240 पाठक आए, जो पिछले साल की इसी अवधि से 15 प्रतिशत अधिक हैं।",
    ),
    (
        "निर्णय",
        "समिति ने छह मतों से तय किया कि वाचनालय रविवार को भी सुबह दस से दो बजे तक खुला रहेगा। बच्चों के कोने के लिए "
        "25,000 रुपये स्वीकृत किए गए। छत की मरम्मत का प्रस्ताव अगली बैठक तक टाल दिया गया है।",
    ),
    ("रविवार के लिए दो स्वयंसेवक ढूँढना", "छत के लिए तीन कोटेशन मँगाना", "अगली बैठक 12 अप्रैल को"),
    (("मद", "राशि"), ("बच्चों की किताबें", "18,000 रुपये"), ("दो मेज़ें", "7,000 रुपये")),
    "सरोवर वाचनालय समिति",
)

NEWSLETTER = Story(
    "fr",
    "La lettre de la jardinerie, numéro de printemps",
    (
        "Une serre plus grande",
        "La jardinerie des Trois Saules rouvre samedi sa serre agrandie. Elle compte désormais 900 mètres carrés, un "
        "coin pour les plantes méditerranéennes et un atelier où l'on rempote ensemble, le mercredi après-midi. L'eau "
        "de pluie du toit suffit à tout arroser de mars à juin ; c'était le vœu de nos adhérents, et nous les "
        "remercions de leur patience pendant les travaux.",
    ),
    (
        "Le calendrier du mois",
        "Les tomates se sèment encore à l'intérieur, les pois et les fèves déjà en pleine terre. Attendez la mi-mai "
        "pour sortir les pélargoniums : la nuit du 11 au 13 reste froide presque chaque année. La bourse aux plants "
        "aura lieu le dernier dimanche d'avril.",
    ),
    ("atelier de greffe, le 21 mars", "visite des ruches, le 4 avril", "bourse aux plants, le 26 avril"),
    (
        ("Plant", "Prix", "Disponible"),
        ("Tomate ancienne", "2,90 €", "15 avril"),
        ("Fraisier", "1,80 €", "tout de suite"),
    ),
    "Jardinerie des Trois Saules",
)

TRAM = Story(
    "it",
    "Reclamo: multa ingiusta sulla linea 4",
    (
        "Che cosa è successo",
        "Il 9 marzo ho ricevuto una multa di 62 euro sulla linea 4, benché avessi un abbonamento valido. "
        "L'obliteratrice della vettura era spenta e il controllore non ha voluto guardare l'applicazione sul mio "
        "telefono. È la seconda volta in un mese, e sono davvero indignata per il modo in cui sono stata trattata "
        "davanti a tutti.",
    ),
    (
        "Che cosa chiedo",
        "Chiedo l'annullamento della multa e le vostre scuse per iscritto entro quindici giorni. Allego la ricevuta "
        "dell'abbonamento. Se non avrò risposta mi rivolgerò all'associazione dei consumatori.",
    ),
    ("Abbonamento mensile numero 4471-B", "Verbale numero 20260309-118"),
    (),
    "Una passeggera della linea 4",
    "linea4@example.com",
)
TRAM_RECEIPT = (
    "Ricevuta\nAbbonamento mensile numero 4471-B\nValido dal 1 al 31 marzo 2026\nPagato: 39,00 euro con carta\n"
)

BOILER = Story(
    "es",
    "Caldera averiada: seis días sin agua caliente",
    (
        "Para el servicio de averías de la vivienda municipal",
        "Desde el lunes no tenemos agua caliente ni calefacción en el portal 3. El técnico vino el martes, dijo que "
        "faltaba una pieza y no ha vuelto. En la casa viven dos personas mayores y un bebé, y por la noche no pasamos "
        "de catorce grados.",
    ),
    (
        "Lo que pedimos",
        "Pedimos que arreglen la caldera hoy mismo o que pongan radiadores mientras llega la pieza. También queremos "
        "que se descuente del alquiler la parte de estos seis días. Adjuntamos las temperaturas que hemos medido.",
    ),
    ("Caldera del sótano, modelo de 2011", "Aviso número 88-2026-0417"),
    (),
    "Comunidad del portal 3",
    "portal3@example.com",
)
BOILER_READINGS = "día;hora;grados\nmartes;22:00;15,5\nmiércoles;22:00;14,8\njueves;22:00;14,1\nviernes;22:00;13,9\n"

INVOICES = Story(
    "de",
    "Offene Rechnungen zum 28. Februar",
    (
        "Offene Rechnungen zum 28. Februar 2026",
        "Papierhandel Uferweg, alle Beträge in Euro einschließlich Umsatzsteuer",
    ),
    (
        "Hinweise der Buchhaltung",
        "Rechnungen, die mehr als 30 Tage überfällig sind, werden am 5. März zum zweiten Mal gemahnt",
    ),
    (
        "R-2026-017 wird bestritten: Die Lieferung war nicht vollständig",
        "Skonto wird nach dem 10. Tag nicht mehr gewährt",
    ),
    (
        ("Rechnung", "Kunde", "Fällig", "Betrag", "Überfällig"),
        ("R-2026-009", "Buchladen am Wehr", "14.01.2026", "318,40", "45 Tage"),
        ("R-2026-017", "Malschule Lindenhof", "30.01.2026", "1.274,00", "29 Tage"),
        ("R-2026-023", "Kanzlei Nordplatz", "12.02.2026", "86,90", "16 Tage"),
        ("R-2026-031", "Gemeinde Tiefenau", "02.03.2026", "2.410,75", "nein"),
    ),
    "Papierhandel Uferweg",
)

ENERGY = Story(
    "fr",
    "Coûts de l'énergie de la piscine municipale",
    (
        "Coûts de l'énergie, deux derniers hivers",
        "Piscine municipale de Montrivel, montants hors taxes, relevés au 1er de chaque mois",
    ),
    (
        "Commentaire",
        "La baisse de février vient de la couverture du grand bassin, posée le 20 janvier et utilisée toutes les nuits",
    ),
    ("compteur de gaz changé le 3 décembre", "tarif d'électricité fixe jusqu'en juin"),
    (
        ("Mois", "Gaz", "Électricité", "Hiver précédent"),
        ("Décembre", "14 820 €", "6 310 €", "22 480 €"),
        ("Janvier", "15 240 €", "6 275 €", "22 910 €"),
        ("Février", "9 960 €", "5 140 €", "20 355 €"),
    ),
    "Piscine municipale de Montrivel",
)

COURSE = Story(
    "th",
    "รีวิวคอร์สเรียนทำอาหารริมคลอง",
    (
        "เรียนสนุกและได้ผลจริง",
        "เราไปเรียนทำอาหารครึ่งวันกับเพื่อนสามคน ครูสอนใจเย็นมาก อธิบายทีละขั้นตอน วัตถุดิบสดจากตลาดเช้า "
        "แกงเขียวหวานที่ทำเองอร่อยจนไม่อยากเชื่อ คุ้มค่ามาก",
    ),
    ("ข้อเสียเล็กน้อย", "ห้องครัวร้อนไปหน่อยช่วงบ่าย และที่จอดรถมีน้อย แต่โดยรวมประทับใจ จะกลับไปเรียนขนมไทยอีกแน่นอน"),
    ("ควรจองล่วงหน้าหนึ่งสัปดาห์", "มีเมนูสำหรับคนกินมังสวิรัติ"),
    (("หัวข้อ", "คะแนน"), ("ครูผู้สอน", "5"), ("สถานที่", "4"), ("ความคุ้มค่า", "5")),
    "ผู้เรียนคอร์สครึ่งวัน",
)

GUEST_BOOK = (
    "हम चार दिन इस पहाड़ी अतिथिगृह में रुके और बहुत ख़ुश होकर लौटे। कमरे साफ़ थे, सुबह का नाश्ता घर जैसा था और खिड़की "
    "से बर्फ़ीली चोटियाँ दिखती थीं। रात में हीटर की आवाज़ थोड़ी परेशान करती है, लेकिन शिकायत करते ही कर्मचारियों ने "
    "दूसरा दे दिया।\n\n"
    "बच्चों के साथ आने वालों के लिए अच्छी जगह है। अगली बार हम पूरे हफ़्ते के लिए आएँगे।\n"
)

STOCK = (
    "referencia,artículo,existencias,mínimo,precio\n"
    'A-104,"Aceite de oliva, 5 l",38,20,31.90\n'
    "A-117,Arroz redondo 1 kg,212,150,1.75\n"
    "B-020,Café en grano 1 kg,9,25,14.20\n"
    'B-033,"Leche de avena, caja de 6",0,12,9.60\n'
    "C-008,Servilletas de papel 500,64,40,5.35\n"
    "observaciones,Pedir café y leche de avena esta semana: los dos están por debajo del mínimo,,,\n"
)

TICKETS = {
    "queue": "Atendimento da Loja do Moinho",
    "exported": "2026-03-14T09:26:53Z",
    "tickets": [
        {
            "id": 5512,
            "subject": "Bicicleta chegou sem o pedal esquerdo",
            "status": "open",
            "messages": [
                "A caixa estava fechada, mas falta o pedal esquerdo. Preciso da bicicleta para ir trabalhar na "
                "segunda-feira.",
                "Pedimos desculpa. Enviamos hoje o pedal, que não tem custos e chega até sexta-feira.",
                "Obrigado, mas já é a segunda peça em falta. Se não chegar, quero devolver tudo.",
            ],
        },
        {
            "id": 5519,
            "subject": "Fatura com o número de contribuinte errado",
            "status": "solved",
            "messages": [
                "Podem corrigir a fatura? O número tem um algarismo trocado.",
                "Corrigido; segue a nova fatura.",
            ],
        },
    ],
}

ORDERS = (
    "order,received,item,pieces,state\n"
    "7001,2026-03-02,Oak shelf 80 cm,4,delivered\n"
    "7002,2026-03-02,Desk lamp brass,12,delivered\n"
    "7003,2026-03-03,Wool rug 160 x 230,1,returned: the colour is not that of the picture\n"
    "7004,2026-03-05,Oak shelf 80 cm,2,late: the carrier has lost the parcel and looks for it\n"
    "7005,2026-03-06,Garden bench,1,cancelled by the customer\n"
)

PARCEL_LETTER = (
    "Objet : colis endommagé, dossier 26-0318\n\nMadame, Monsieur,\n\nLe colis que vous avez livré le 5 mars était "
    "ouvert sur un côté. Sur les six verres de la commande, quatre sont cassés. Le livreur a noté le dommage sur son "
    "terminal, mais vos services nous ont répondu qu'il n'y avait aucune réserve. Nous demandons le remboursement des "
    "articles et des frais de port.\n\nLa liste des dommages se trouve dans ce dossier.\n"
)
PARCEL_DAMAGE = "article,quantité,cassés,prix\nVerre à pied,6,4,7.50\nCarafe,1,0,24.00\nFrais de port,1,,6.90\n"

WATER_BOARD = (
    "Acta de la junta de regantes, 3 de marzo\n\nAsisten 41 de los 58 regantes. Se aprueba el acta anterior. La presa "
    "está al 63 por ciento, once puntos más que hace un año, y los turnos de riego empiezan el 1 de "
    "abril.\n\nAcuerdos: se limpia la acequia del norte antes del riego (votos: 39 a favor, 2 en contra); la derrama "
    "es de 12 euros por hectárea; se pide presupuesto para dos compuertas nuevas.\n"
)
WATER_TURNS = (
    "# Turnos de riego\n\n| Zona | Día | Horas |\n| --- | --- | --- |\n"
    "| Norte | lunes y jueves | 6 a 12 |\n| Vega | martes | 6 a 20 |\n"
)

OFFER = Story(
    "it",
    "Offerta per il rifacimento del tetto",
    (
        "Lavori compresi",
        "La ditta Tegola Alta propone il rifacimento del tetto della palestra comunale: smontaggio delle vecchie "
        "tegole, isolamento in fibra di legno da 16 cm, nuova impermeabilizzazione e posa di tegole in cotto. I "
        "lavori durano cinque settimane e cominciano a giugno.",
    ),
    (
        "Condizioni",
        "L'offerta vale fino al 30 aprile 2026. Il trenta per cento si paga all'ordine, il resto a lavori finiti, "
        "entro trenta giorni. La garanzia è di dieci anni. Il ponteggio resta al cantiere per non più di sei "
        "settimane, poi costa 90 euro al giorno.",
    ),
    ("Smaltimento delle tegole: compreso", "Lattoneria in rame: a richiesta"),
    (
        ("Voce", "Quantità", "Prezzo"),
        ("Isolamento", "420 m²", "18.480 €"),
        ("Tegole", "420 m²", "15.960 €"),
        ("Ponteggio", "6 settimane", "5.200 €"),
    ),
    "Tegola Alta",
)

SCANNED_LETTER = (
    "Marsh Lane Dairy",
    "",
    "To all members of the cooperative",
    "",
    "From the first of April the milk round will start an hour",
    "earlier, at five in the morning. Bottles that are not rinsed",
    "can no longer be taken back. We thank you for a good year:",
    "the cooperative has sold more milk than ever before.",
    "",
    "The board",
)
