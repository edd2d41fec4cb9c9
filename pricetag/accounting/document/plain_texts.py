"""Texts of price tags in plain words.

The wording in a price tag is part of its content and of its hash, so that it never changes. Price
tags have these plain words from accounting version 5 on; for earlier ones, terminal and reports
show them in place of the stored text. A remark on what to do is added when a text is shown.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLAIN = (
    (
        r"nobody counts a script's operations; .*(pricetag\.flops\(dense\))",
        r"operations of a script are not counted; the script can report them with \1",
    ),
    (
        r"theirs is ours times the PUE of (\S+): it may have multiplied with one",
        r"its figure is ours times the PUE of \1, which it may include",
    ),
    (r"the other tool has no figure for it(.*)", r"the other tool reported no figure\1"),
    (r"we have no figure for it: (.*)", r"Pricetag has no figure: \1"),
    (
        r"what is left: differences of less than (\S+) each",
        r"remaining differences, each of less than \1",
    ),
    (
        r"ours is a hardware counter, theirs a constant by memory size(.*)",
        r"ours is a hardware counter, theirs a constant that depends on the memory size\1",
    ),
    (
        r"ours is metered; theirs is read more seldom, or modelled(.*)",
        r"ours is metered; theirs is read less often, or modelled\1",
    ),
    (
        r"both are a constant by memory modules, times or divided by two(.*)",
        r"both are a constant per memory module, uncertain by a factor of two\1",
    ),
    (
        r"both are one model of load, seen over other stretches of time(.*)",
        r"both use the same model of the load, over different periods\1",
    ),
    (
        r"ours is this run's share, (\S+) of what the devices used; theirs sees the whole machine, "
        r"and is (\S+) against that",
        r"Pricetag charges this run its share, \1 of the devices' energy; the other tool reports "
        r"the whole machine, \2 relative to the devices' energy",
    ),
    (
        r"it looked for (.+), the attempts took (.+)",
        r"the other tool measured for \1; the attempts took \2",
    ),
)
_UNVERSIONED = (
    (
        "the counter stood still, and there is no model in its place",
        "the energy counter did not advance, and no model replaces it",
    ),
)
"""Texts of measurements, whose recomputation must give the same text in every version."""

_OF_A_SCRIPT = re.compile(r"(a lower bound, )?not counted: [^;]*\(track\)[^;]*")
"""Operations of a block of a script, which nothing but the script can count."""

_WHOLE = re.compile(r" \((\S+) against what the whole machine used\)$")


@lru_cache(maxsize=1_000)
def plain(text: str) -> str:
    """A stored text as it is shown: in plainer words if there are any, otherwise unchanged."""
    words = version_5_words(text)
    for stored, shown in _UNVERSIONED:
        words = words.replace(stored, shown)
    if _OF_A_SCRIPT.fullmatch(words):
        words += "; the script can report them with pricetag.flops(dense)"
    return words


def version_5_words(text: str) -> str:
    """A text of a price tag as stored from accounting version 5 on."""
    for pattern, words in _PLAIN:
        if (match := re.fullmatch(pattern, text, re.DOTALL)) is not None:
            return _WHOLE.sub(r" (\1 relative to the whole machine)", match.expand(words))
    return text
