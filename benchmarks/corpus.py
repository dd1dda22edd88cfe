"""Documents for the benchmarks: made by code from word lists, any number of them, the same ones every time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGLISH = """the a of and to in for with on at by from this that it we they you will has had was were not more order
    engine report office customer delivery council water letter window station budget kitchen garden meeting contract
    repair schedule driver quality price number morning winter bridge market village teacher payment invoice opinion
    quickly carefully yesterday tomorrow broken excellent late early quiet expensive reliable approved returned""".split()  # noqa: SIM905 - lists of words would be a line each
GERMAN = """der die das und in zu mit auf für von ist war nicht ein eine wir sie wurde haben Lieferung Rechnung Kunde
    Gemeinde Sitzung Brücke Fenster Küche Garten Vertrag Wohnung Zahlung Qualität Lehrerin Bahnhof pünktlich leider
    gestern morgen zuverlässig größer außerdem während Straße übermäßig zurückgeschickt genehmigt""".split()  # noqa: SIM905
HINDI = """और का की के में है यह वह नहीं एक हम आप से पर को था थी बहुत अच्छा समय पानी गाँव घर सड़क बाज़ार बैठक पत्र
    ग्राहक भुगतान शिक्षक सुबह सर्दी पुल रसोई बगीचा निर्णय""".split()  # noqa: SIM905
THAI = """และ ของ ใน ที่ ไม่ มี เป็น ได้ ให้ กับ เรา คุณ บ้าน น้ำ ถนน ตลาด ประชุม จดหมาย ลูกค้า ชำระเงิน ครู เช้า หนาว
    สะพาน ครัว สวน ตัดสินใจ คุณภาพ ราคา ส่งของ ล่าช้า""".split()  # noqa: SIM905

# Of twenty documents seventeen are English.
LANGUAGES = (
    *[(ENGLISH, " ", ". ")] * 17,
    (GERMAN, " ", ". "),
    (HINDI, " ", "। "),
    (THAI, "", " "),
)
POOL_SENTENCES = 400
LEAST_SIZE, MOST_SIZE = 0.6, 1.4


def documents(count: int, size_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of `count` documents, all different, of `size_bytes` on average (0.6 to 1.4 of it)."""
    source = random.Random(7)
    pools = [_sentences(source, *language) for language in LANGUAGES[-4:]]
    english, others = pools[0], pools[1:]
    for number in range(count):
        place = number % len(LANGUAGES)
        pool = english if place < len(LANGUAGES) - len(others) else others[place - len(LANGUAGES)]
        wanted = int(size_bytes * source.uniform(LEAST_SIZE, MOST_SIZE))
        yield f"{number // 1000:04d}/{number:07d}.txt", _document(source, number, pool, wanted)


def write_documents(folder: Path, count: int, size_bytes: int) -> None:
    """The same documents as files, a thousand to a folder."""
    for name, content in documents(count, size_bytes):
        path = folder / name
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        path.write_bytes(content)


def _document(source: random.Random, number: int, pool: list[str], wanted_bytes: int) -> bytes:
    pieces = [f"No. {number}\n\n".encode()]
    size = len(pieces[0])
    while size < wanted_bytes:
        piece = source.choice(pool).encode()
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _sentences(source: random.Random, words: list[str], between: str, end: str) -> list[str]:
    return [
        between.join(source.choices(words, k=source.randint(6, 24))).capitalize()
        + ("\n\n" if source.random() < 0.1 else end)
        for _ in range(POOL_SENTENCES)
    ]
