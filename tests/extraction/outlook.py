"""Writes Outlook's messages (MS-OXMSG), and the wrap of an Office file that is encrypted."""

from __future__ import annotations

import struct

from tests.extraction.compound import Storage, compound_file
from tests.extraction.single import page
from tests.extraction.stories import Story

_TEXT, _BYTES, _NUMBER, _TIME = 0x001F, 0x0102, 0x0003, 0x0040  # types of properties
_CLASS, _SUBJECT, _SENT, _FLAGS, _CODE_PAGE = 0x001A, 0x0037, 0x0039, 0x340D, 0x3FDE
_SENDER, _ADDRESS, _TO, _BODY, _PAGE = 0x0C1A, 0x0C1F, 0x0E04, 0x1000, 0x1013
_CONTENT, _NAME, _METHOD = 0x3701, 0x3707, 0x3705
_EPOCH_TICKS = 116_444_736_000_000_000  # of 100 ns, from 1601 to 1970
_SENT_SECONDS = 1_773_480_413  # stories.CREATED


def msg(story: Story, *attached: tuple[str, bytes], html: bool = False) -> bytes:
    """A message with the story as its text, or as a page."""
    sent = _EPOCH_TICKS + _SENT_SECONDS * 10_000_000
    body: dict[int, str | bytes | int] = {_PAGE: page(story)} if html else {_BODY: "\r\n\r\n".join(story.in_order)}
    counts = struct.pack("<8xIIII8x", 0, len(attached), 0, len(attached))
    told = {_CLASS: "IPM.Note", _SUBJECT: story.title, _SENDER: story.author, **body}
    told |= {_ADDRESS: story.address, _TO: "council@example.org"}
    root = _storage(counts, told | {_FLAGS: 0x40000, _CODE_PAGE: 65001}, sent)
    root["__nameid_version1.0"] = {f"__substg1.0_000{n}0102": b"" for n in (2, 3, 4)}
    for number, (name, content) in enumerate(attached):
        root[f"__attach_version1.0_#{number:08X}"] = _storage(bytes(8), {_CONTENT: content, _NAME: name, _METHOD: 1})
    return compound_file(root)


def _storage(head: bytes, properties: dict[int, str | bytes | int], sent_ticks: int | None = None) -> Storage:
    """Long values lie in streams named by their ids, short ones in the list of all."""
    storage: Storage = {}
    listed = head
    if sent_ticks is not None:
        listed += struct.pack("<IIQ", _SENT << 16 | _TIME, 6, sent_ticks)
    for number, value in properties.items():
        if isinstance(value, int):
            listed += struct.pack("<IIQ", number << 16 | _NUMBER, 6, value)
            continue
        kind = _TEXT if isinstance(value, str) else _BYTES
        content = value.encode("utf-16-le") if isinstance(value, str) else value
        storage[f"__substg1.0_{number:04X}{kind:04X}"] = content
        listed += struct.pack("<IIQ", number << 16 | kind, 6, len(content) + (2 if kind == _TEXT else 0))
    return {**storage, "__properties_version1.0": listed}


def locked_office() -> bytes:
    """As Office wraps a document that it has encrypted."""
    package = bytes(range(256)) * 20
    return compound_file({"EncryptionInfo": b"\x04\0\x04\0" + bytes(60), "EncryptedPackage": package})
