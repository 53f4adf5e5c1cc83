"""The training text: the King James Bible as Debian's bible-kjv prints it, split into training and held-out chapters.

The translation of 1611 is out of copyright everywhere but in the United Kingdom, where printing it is a Crown patent.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

WHOLE_BIBLE = "gen1:1-rev22:21"
# One chapter in fifty is never trained on.
HELDOUT_STRIDE = 50
HELDOUT_OFFSET = 24

_BOOKS = (
    "Genesis,Exodus,Leviticus,Numbers,Deuteronomy,Joshua,Judges,Ruth,1 Samuel,2 Samuel,1 Kings,2 Kings,"
    "1 Chronicles,2 Chronicles,Ezra,Nehemiah,Esther,Job,Psalms,Proverbs,Ecclesiastes,Song of Solomon,Isaiah,"
    "Jeremiah,Lamentations,Ezekiel,Daniel,Hosea,Joel,Amos,Obadiah,Jonah,Micah,Nahum,Habakkuk,Zephaniah,Haggai,"
    "Zechariah,Malachi,Matthew,Mark,Luke,John,Acts,Romans,1 Corinthians,2 Corinthians,Galatians,Ephesians,"
    "Philippians,Colossians,1 Thessalonians,2 Thessalonians,1 Timothy,2 Timothy,Titus,Philemon,Hebrews,James,"
    "1 Peter,2 Peter,1 John,2 John,3 John,Jude,Revelation"
).split(",")


@dataclass(frozen=True)
class Chapter:
    book: str
    number: int
    verses: tuple[str, ...]

    @property
    def text(self) -> str:
        """A heading, then one verse per line without its number, then an empty line."""
        return f"{self.book} {self.number}\n" + "\n".join(self.verses) + "\n\n"


def read_chapters() -> list[Chapter]:
    """All chapters in order, from the output of `bible -f gen1:1-rev22:21` (Debian package bible-kjv)."""
    printed = subprocess.run(["bible", "-f", WHOLE_BIBLE], check=True, capture_output=True, text=True).stdout
    chapters: dict[tuple[str, int], list[str]] = {}
    for line in printed.splitlines():
        label, verse = line.split(" ", 1)
        match = re.fullmatch(r"(\d?[A-Za-z]+)(\d+):\d+", label)
        if match is None:
            raise ValueError(f"bible -f printed a line without a verse label: {line[:60]!r}")
        chapters.setdefault((match[1], int(match[2])), []).append(verse.strip())
    names = dict(zip(dict.fromkeys(book for book, _ in chapters), _BOOKS, strict=True))
    return [Chapter(names[book], number, tuple(verses)) for (book, number), verses in chapters.items()]


def split_chapters(chapters: list[Chapter]) -> tuple[list[Chapter], list[Chapter]]:
    """(training, held-out)."""
    heldout = chapters[HELDOUT_OFFSET::HELDOUT_STRIDE]
    held = set(heldout)
    return [chapter for chapter in chapters if chapter not in held], heldout


def words(text: str) -> list[str]:
    """Lower-case words, apostrophes inside them kept."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


def write_excerpt(path: Path, heldout: list[Chapter], size: int) -> None:
    """The first held-out chapters, until `size` characters are reached."""
    text = ""
    for chapter in heldout:
        if len(text) >= size:
            break
        text += chapter.text
    path.write_text(text)
