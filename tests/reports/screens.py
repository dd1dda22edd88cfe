"""What is on a screen or on paper: pictures of pages as pixels, and the colours in them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pypdfium2
from PIL import Image
from playwright.sync_api import Locator, Page

PHONE, DESK = 390, 1280
Open = Callable[..., Page]
Colour = tuple[int, int, int]

# Of each text of a visible chart: its size on the screen, in pixels.
_TEXTS = """() => [...document.querySelectorAll('svg')].filter(one => one.checkVisibility()).flatMap(svg => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return [...svg.querySelectorAll('text')].map(one => parseFloat(getComputedStyle(one).fontSize) * scale);
})"""


def told_request(url: str, told: list[str]) -> None:
    if not url.startswith(("file:", "data:,")):
        told.append(f"request: {url}")


def chart_text_pixels(page: Page) -> list[float]:
    found: list[float] = page.evaluate(_TEXTS)
    return found


def taken(of: Page | Locator, path: Path) -> Image.Image:
    """A screenshot, kept in a file; of a page, all of it."""
    shot = of.screenshot(full_page=True) if isinstance(of, Page) else of.screenshot()
    path.write_bytes(shot)
    return Image.open(io.BytesIO(shot)).convert("RGB")


def printed(page: Page, path: Path) -> list[Image.Image]:
    """The sheets of a page on A4, kept as a PDF."""
    path.write_bytes(page.pdf(format="A4", print_background=False))
    document = pypdfium2.PdfDocument(path)
    try:
        return [document[number].render(scale=1.5).to_pil().convert("RGB") for number in range(len(document))]
    finally:
        document.close()


def colour_of(page: Page, name: str) -> Colour:
    """What the style sheet calls so, as it is now."""
    text: str = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def colours(image: Image.Image) -> Counter[Colour]:
    """Each colour with its pixels."""
    found = image.getcolors(image.width * image.height) or []
    return Counter({colour: count for count, colour in found if isinstance(colour, tuple)})  # type: ignore[misc] # RGB


def near(one: Colour, other: Colour) -> bool:
    """Thin letters have hardly a pixel of their own colour alone."""
    return max(abs(ours - theirs) for ours, theirs in zip(one, other, strict=True)) < 40
