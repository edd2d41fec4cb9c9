import asyncio
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from workers.attempt.output import LONGEST_LINE, copy_lines
from workers.job.lines import LineCutter


def lines_of(data: list[bytes]) -> list[str]:
    async def run() -> list[str]:
        reader = asyncio.StreamReader()
        for chunk in data:
            reader.feed_data(chunk)
        reader.feed_eof()
        lines: list[str] = []
        await copy_lines(reader, lines.append)
        return lines

    return asyncio.run(run())


def test_progress_bars_and_invalid_bytes_are_logged() -> None:
    assert lines_of([b"10%\r20%\r\ndone\n\xff\xfe tail"]) == [
        "20%",
        "done",
        "\ufffd\ufffd tail",
    ]


def test_an_endless_line_is_cut() -> None:
    assert "".join(lines_of([b"x" * (3 * LONGEST_LINE)])) == "x" * (3 * LONGEST_LINE)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=8))
def test_no_text_is_lost(lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    chunks = [data[i : i + 3] for i in range(0, len(data), 3)]
    assert lines_of(chunks) == [line for line in lines if line]


def cut(pieces: list[bytes], longest: int = 8192, step_s: float = 0.0) -> list[str]:
    """The lines of pieces that come ``step_s`` apart."""
    times = (step_s * tick for tick in count())
    cutter = LineCutter(longest, lambda: next(times))
    return [line for piece in [*pieces, b""] for line in cutter.take(piece)]


def test_a_bar_of_many_updates_is_its_last_state() -> None:
    updates = b"".join(b"\r%5d/20000 [####    ]" % place for place in range(20_000))
    for size in (1, 7, 1000, 10**9):
        pieces = [updates[i : i + size] for i in range(0, len(updates), size)]
        if size == 1:
            pieces = pieces[:5000]
        assert cut([*pieces, b"\ndone\n"])[-1] == "done"
        assert len(cut([*pieces, b"\ndone\n"])) == 2
    assert cut([updates, b"\ndone\n"]) == ["19999/20000 [####    ]", "done"]


def test_a_bar_without_an_end_is_a_line_now_and_then() -> None:
    pieces = [b"%d%%\r" % place for place in range(100)]
    lines = cut(pieces, step_s=1.0)
    assert 5 < len(lines) < 20
    assert lines[-1] == "99%"
    assert len(set(lines)) == len(lines)


def test_line_ends_of_every_system_are_recognized() -> None:
    assert cut([b"a\r\nb\n\nc\r", b"\nd"]) == ["a", "b", "", "c", "d"]
    assert cut([b"a\r\r\n"]) == ["a"]
    assert cut([b"old", b"\rnew\r", b"\n"]) == ["new"]


def test_a_long_line_is_cut_between_characters() -> None:
    text = "\u00e9\U0001f525x" * 5000
    raw = text.encode()
    for pieces in ([raw], [raw[i : i + 999] for i in range(0, len(raw), 999)], [b"\r" + raw]):
        assert "".join(cut(pieces, longest=1001)) == text


def test_a_bar_of_endless_states_takes_no_memory() -> None:
    cutter = LineCutter(100, lambda: 0.0)
    for _ in range(1000):
        cutter.take(b"\r" + b"x" * 150)
    assert len(cutter._rest) < 500
