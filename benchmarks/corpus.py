"""Documents for the benchmarks: made by code from word lists, any number of them, the same ones every time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.storage.objects import ObjectStore

# Lists of words would take a line for each word.
ENGLISH = """the a of and to in for with on at by from this that it we they you will has had was were not more order
    engine report office customer delivery council water letter window station budget kitchen garden meeting contract
    repair schedule driver quality price number morning winter bridge market village teacher payment invoice opinion
    quickly carefully yesterday tomorrow broken excellent late early quiet expensive reliable approved
    returned""".split()  # noqa: SIM905
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


class Corpus:
    """Any number of documents, all different, of `size_bytes` on average (0.6 to 1.4 of it)."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        source = random.Random(7)
        pools = [_sentences(source, *language) for language in LANGUAGES[-4:]]
        self._pools = [pools[0]] * (len(LANGUAGES) - 4) + pools

    def name(self, number: int) -> str:
        """A thousand documents lie in one folder."""
        return f"{number // 1000:04d}/{number:07d}.txt"

    def content(self, number: int) -> bytes:
        source = random.Random(number)
        pool = self._pools[number % len(self._pools)]
        pieces = [f"No. {number}\n\n".encode()]
        missing_bytes = int(self._size_bytes * source.uniform(LEAST_SIZE, MOST_SIZE)) - len(pieces[0])
        while missing_bytes > 0:
            pieces.append(source.choice(pool))
            missing_bytes -= len(pieces[-1])
        return b"".join(pieces)

    def contents(self, count: int) -> Iterator[bytes]:
        return map(self.content, range(count))

    def write(self, store: ObjectStore, count: int) -> None:
        for number in range(count):
            store.write(self.name(number), self.content(number))


def _sentences(source: random.Random, words: list[str], between: str, end: str) -> list[bytes]:
    sentences = (between.join(source.choices(words, k=source.randint(6, 24))) for _ in range(POOL_SENTENCES))
    return [(text.capitalize() + ("\n\n" if source.random() < 0.1 else end)).encode() for text in sentences]
