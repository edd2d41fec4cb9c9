"""Names of items that stand for several owners, or for none."""

from __future__ import annotations

PRIVATE_PROJECTS = "(private projects)"
"""Label for the sum of the projects that the caller may not see."""

OTHER_PROJECTS = "(other projects)"
"""The same label for a token that is limited to one project."""

OTHER_PARTS = "(all others)"
"""Label for the sum of the smallest of many users or projects."""

NO_USER = "(no user)"
"""Label for the sum of the runs whose user is unknown."""
