"""Names that break things: any text, and the characters that mean something to a format."""

from __future__ import annotations

from hypothesis import strategies as st

SPECIAL = "\\{}$&#^_~%<>|\"'`[]*-+=@!?().:;/,"
SPECIAL += "\t\n\r\x00\x07\x1b\u202e\u2028é中ą\u03b1😀ﬁ\u00d7²µ\ufeff\udcff"

names = st.one_of(st.text(max_size=40), st.text(st.sampled_from(SPECIAL), max_size=20))
