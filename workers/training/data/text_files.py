"""Published text files: compressed or not, in the encoding that the job states."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from workers.training.data.reading import unreadable

BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 1 << 16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", ("utf-8",)),
    (codecs.BOM_UTF16_LE, "utf-16", ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, "utf-16", ("utf-16", "utf-16-be")),
)
_MARKUP = frozenset(b'\t\n\r ,;|":')
_UTF_32 = "is UTF-32 text; convert it to UTF-8, e.g. with iconv -f utf-32 -t utf-8"
_PACKED = (
    (b"\x1f\x8b", "is packed with gzip; name it so that it ends in .gz"),
    (b"PK\x03\x04", "is a zip archive; unpack it"),
    (b"PAR1", "is a parquet file; name it so that it ends in .parquet"),
    (codecs.BOM_UTF32_LE, _UTF_32),
    (codecs.BOM_UTF32_BE, _UTF_32),
    (
        b"version https://git-lfs.github.com/spec/",
        "is a pointer of Git LFS, not the file itself; fetch it with git lfs pull",
    ),
)


@contextmanager
def open_text(
    path: Path, encoding: str, newline: str | None, field: str
) -> Iterator[io.TextIOBase]:
    """A file as text, without its byte order mark; a file that ends in ``.gz`` is unpacked.

    Args:
        path: The file.
        encoding: Encoding of its text.
        newline: Line ends, as for ``io.TextIOWrapper``.
        field: The option that names the file.

    Raises:
        JobError: ``unreadable-data`` with the line and byte where the text does not have that
            encoding, and the encoding to try.
    """
    try:
        with _open_bytes(path) as raw:
            _check_head(path, raw.read(_HEAD_BYTES), encoding, field)
        with _open_bytes(path) as raw, io.TextIOWrapper(raw, encoding, newline=newline) as text:
            if text.read(1) not in ("\ufeff", ""):
                text.seek(0)
            yield text
    except UnicodeError as error:
        raise unreadable(path, _undecodable(path, encoding, str(error)), field) from error
    except EOFError as error:
        problem = "is cut off: its gzip data have no end; copy or download it again"
        raise unreadable(path, problem, field) from error
    except gzip.BadGzipFile as error:
        problem = f"ends in .gz and is not a valid gzip file ({error})"
        raise unreadable(path, problem, field) from error
    except zlib.error as error:
        raise unreadable(path, f"has damaged gzip data ({error})", field) from error
    except OSError as error:
        raise unreadable(path, f"cannot be read ({error.strerror or error})", field) from error


def line_end(path: Path, encoding: str, field: str) -> str:
    r"""The line end of a file: ``\r`` if it has no ``\n``, else ``\n``."""
    returns = False
    with open_text(path, encoding, "", field) as text:
        while block := text.read(BLOCK_BYTES):
            if "\n" in block:
                return "\n"
            returns = returns or "\r" in block
    return "\r" if returns else "\n"


def _open_bytes(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _check_head(path: Path, head: bytes, encoding: str, field: str) -> None:
    """Reject a file that can be decoded without an error but has another encoding."""
    for start, problem in _PACKED:
        if head.startswith(start):
            raise unreadable(path, problem, field)
    for mark, name, fitting in _MARKS:
        if head.startswith(mark):
            if encoding in fitting:
                return
            how = "remove encoding" if name == "utf-8" else f"add encoding: {name}"
            problem = f"begins with the byte order mark of {name} and is read as {encoding}; {how}"
            raise unreadable(path, problem, field)
    wide = _wide_encoding(head)
    if wide is not None and encoding not in ("utf-16-le", "utf-16-be"):
        at = head.index(0)
        problem = f"has NUL bytes (first: byte {at}) as UTF-16 text has; add encoding: {wide}"
        raise unreadable(path, problem, field)
    if encoding.startswith("utf-16") and head and encoding != wide:
        problem = f"is not {encoding} text: it has no byte order mark and no NUL bytes"
        if wide is not None:
            problem = f"has its bytes in the other order than {encoding}"
        how = f"use encoding: {wide}" if wide else "remove data.encoding or state another"
        raise unreadable(path, f"{problem}; {how}", field)


def _wide_encoding(head: bytes) -> str | None:
    """The byte order of UTF-16 text without a mark: its separators and line ends have a NUL."""
    pairs = list(zip(head[0::2], head[1::2], strict=False))
    little = sum(second == 0 and first in _MARKUP for first, second in pairs)
    big = sum(first == 0 and second in _MARKUP for first, second in pairs)
    if max(little, big) * 2 < max(1, head.count(b"\n")):
        return None
    return "utf-16-le" if little > big else "utf-16-be"


def _undecodable(path: Path, encoding: str, reason: str) -> str:
    """The first place that cannot be decoded, and the encoding to try."""
    decoder = codecs.getincrementaldecoder(encoding)()
    ends = returns = offset = 0
    with _open_bytes(path) as raw:
        while True:
            block = raw.read(BLOCK_BYTES)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding, "replace")
                line = (ends + before.count("\n") or returns + before.count("\r")) + 1
                file = "unpacked file" if path.suffix.lower() == ".gz" else "file"
                where = f"line {line}, byte {offset - pending + error.start} of the {file}"
                problem = f"is not {encoding.upper()} text in {where} ({error.reason}); "
                return problem + _other_encoding(encoding, error.object[error.start :])
            if not block:
                return f"is not {encoding.upper()} text ({reason}); check data.encoding"
            ends, returns = ends + text.count("\n"), returns + text.count("\r")
            offset += len(block)


def _other_encoding(encoding: str, undecoded: bytes) -> str:
    """The encoding that a message suggests for bytes that cannot be decoded."""
    if encoding != "utf-8":
        return "check data.encoding"
    if not any(0x80 <= byte <= 0x9F for byte in undecoded):
        return "if it is Western European text, add encoding: latin-1"
    try:
        undecoded.decode("cp1252")
    except UnicodeDecodeError:
        return "state its encoding in data.encoding"
    return "if it is Western European text from Windows, add encoding: cp1252"
