import asyncio

from hypothesis import given
from hypothesis import strategies as st

from workers.attempt.output import LONGEST_LINE, copy_lines


def lines_of(data: list[bytes]) -> list[str]:
    async def run() -> list[str]:
        reader = asyncio.StreamReader()
        for chunk in data:
            reader.feed_data(chunk)
        reader.feed_eof()
        taken: list[str] = []
        await copy_lines(reader, taken.append)
        return taken

    return asyncio.run(run())


def test_progress_bars_and_broken_bytes() -> None:
    assert lines_of([b"10%\r20%\r\ndone\n\xff\xfe tail"]) == [
        "10%",
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
