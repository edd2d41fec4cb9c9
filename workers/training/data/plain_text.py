"""Plain text for language models: one text per line, or packed into blocks of tokens."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from workers.job.request import JobError
from workers.training.data.tables import Table


def read_lines(path: Path, column: str, encoding: str, field: str) -> Table:
    """The lines of a file as the texts of one column; blank lines are skipped.

    Args:
        path: The file.
        column: Name of the column.
        encoding: Encoding of the text.
        field: The option that names the file, for messages.

    Raises:
        JobError: ``unreadable-data`` if the file cannot be read or has another encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"{path.name} cannot be read ({error.strerror or error})"
        raise JobError("unreadable-data", problem, field) from error
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeError as error:
        place = ""
        if isinstance(error, UnicodeDecodeError):
            before = content.count(b"\n", 0, error.start)
            place = f" in line {before + 1}, byte {error.start} of the file"
        message = f"{path.name} is not {encoding} text{place}; name its encoding in data.encoding"
        raise JobError("unreadable-data", message, field) from error
    lines = array("Q")
    texts = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            lines.append(number)
            texts.append(line.rstrip("\r"))
    return Table({column: texts}, "line", lines)


def packed(
    texts: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase, block_size: int
) -> list[list[int]]:
    """Texts one after the other, cut into blocks; the last block may be short.

    Every text is followed by the tokenizer's separator or end of text. Where the tokenizer puts
    special tokens around a text, each block has them too.

    Args:
        texts: Token numbers of each text, without special tokens.
        tokenizer: The model's tokenizer.
        block_size: Tokens of a block, special tokens included.

    Returns:
        Blocks of 2 to ``block_size`` tokens.
    """
    before, after = wrapping(tokenizer)
    end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    stream = [token for text in texts for token in (*text, *([] if end is None else [end]))]
    room = block_size - len(before) - len(after)
    blocks = [[*before, *stream[i : i + room], *after] for i in range(0, len(stream), room)]
    return [block for block in blocks if len(block) > max(1, len(before) + len(after))]


def wrapping(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    wrapped = tokenizer("a")["input_ids"]
    for start in range(len(wrapped) - len(plain) + 1):
        if wrapped[start : start + len(plain)] == plain:
            return wrapped[:start], wrapped[start + len(plain) :]
    return [], []
