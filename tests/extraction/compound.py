"""Writes a compound file (Microsoft's CFB, as .msg files and encrypted Office files are): storages and streams."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise

SECTOR, MINI = 512, 64
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
SHORT = 4096  # bytes; streams below this lie in the mini stream
Storage = dict[str, "bytes | Storage"]


@dataclass
class _Entry:
    name: str
    kind: int  # 1 storage, 2 stream, 5 root
    start: int = END
    size: int = 0
    child: int = FREE
    right: int = FREE


@dataclass
class _File:
    entries: list[_Entry] = field(default_factory=list)
    sectors: list[bytes] = field(default_factory=list)
    fat: list[int] = field(default_factory=list)
    mini: bytearray = field(default_factory=bytearray)
    mini_fat: list[int] = field(default_factory=list)

    def add(self, content: bytes) -> int:
        """The first sector of a chain that holds the content; it must not be empty."""
        first, count = len(self.sectors), -(-len(content) // SECTOR)
        padded = content.ljust(count * SECTOR, b"\0")
        self.sectors += [padded[at : at + SECTOR] for at in range(0, len(padded), SECTOR)]
        self.fat += [*range(first + 1, first + count), END]
        return first

    def add_short(self, content: bytes) -> int:
        first, count = len(self.mini_fat), -(-len(content) // MINI)
        self.mini += content.ljust(count * MINI, b"\0")
        self.mini_fat += [*range(first + 1, first + count), END]
        return first

    def enter(self, storage: Storage) -> int:
        """The number of the first entry of a storage; the others hang to its right, in the order of the format."""
        numbers = []
        for name in sorted(storage, key=lambda one: (len(one), one.upper())):
            content = storage[name]
            entry = _Entry(name, 2 if isinstance(content, bytes) else 1)
            numbers.append(len(self.entries))
            self.entries.append(entry)
            if isinstance(content, dict):
                entry.child = self.enter(content)
            elif content:
                entry.size = len(content)
                entry.start = (self.add if len(content) >= SHORT else self.add_short)(content)
        for left, right in pairwise(numbers):
            self.entries[left].right = right
        return numbers[0] if numbers else FREE


def compound_file(storage: Storage) -> bytes:
    """The file with the storage as its root; equal storages give equal bytes."""
    file = _File(entries=[_Entry("Root Entry", 5)])
    root = file.entries[0]
    root.child = file.enter(storage)
    if file.mini:
        root.start, root.size = file.add(bytes(file.mini)), len(file.mini)
    mini_fat = struct.pack(f"<{len(file.mini_fat)}I", *file.mini_fat)
    mini_count = -(-len(mini_fat) // SECTOR)
    mini_start = file.add(mini_fat.ljust(mini_count * SECTOR, b"\xff")) if mini_fat else END
    directory = b"".join(map(_packed, file.entries)).ljust(-(-len(file.entries) // 4) * SECTOR, b"\0")
    directory_start = file.add(directory)
    fat_start = len(file.sectors)
    fat_count = 1
    while fat_count * 128 < fat_start + fat_count:
        fat_count += 1
    fat = file.fat + [FAT] * fat_count
    fat += [FREE] * (fat_count * 128 - len(fat))
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack("<HHHHHHIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, fat_count)
    header += struct.pack("<IIIIIII", directory_start, 0, SHORT, mini_start, mini_count, END, 0)
    places = [*range(fat_start, fat_start + fat_count)]
    header += struct.pack("<109I", *places, *[FREE] * (109 - len(places)))
    return header + b"".join(file.sectors) + struct.pack(f"<{len(fat)}I", *fat)


def _packed(entry: _Entry) -> bytes:
    name = entry.name.encode("utf-16-le") + b"\0\0"
    links = struct.pack("<III", FREE, entry.right, entry.child)
    head = name.ljust(64, b"\0") + struct.pack("<HBB", len(name), entry.kind, 1) + links
    return head + bytes(36) + struct.pack("<IQ", entry.start, entry.size)
