"""Verification by hash on the wire: of price tags and reports, and of documents that are sent."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal, Self

from pydantic import Base64Bytes, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Request, Wire
from app.schemas.price_tags import VerificationStep

MAX_TEXT = 1_000_000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hexadecimal.")]
Outcome = Literal["verified", "not-fully-checked", "differs"]


class HashVerification(Wire):
    """A price tag or report identified by its hash, checked now."""

    sha256: Sha256
    kind: Literal["price-tag", "report"] = Field(description="What has this hash.")
    run_id: uuid.UUID | None = Field(description="ID of the run; null for a report.")
    version: int | None = Field(description="Version of the price tag; null for a report.")
    report_id: uuid.UUID | None = Field(description="ID of the report; null for a price tag.")
    name: str = Field(description="Name of the run, or title of the report.")
    outcome: Outcome = Field(
        description="Result of all steps: `verified` if all are `ok`, `differs` if one differs."
    )
    steps: list[VerificationStep] = Field(description="Checks in order.")


class DocumentToVerify(Request):
    """A price tag or report as JSON, any text that contains their hashes, or an archive."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)] | None = Field(
        default=None, description="The document, or a text with hashes."
    )
    archive: Base64Bytes | None = Field(
        default=None, description="The archive of a paper: a ZIP file in base64."
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.text is None) == (self.archive is None):
            raise PydanticCustomError("document", "needs either text or archive")
        return self


class DocumentStep(Wire):
    """One check of the document itself."""

    step: Literal["stated-hash", "as-issued", "archive"] = Field(
        description="`stated-hash`: the document has the hash that it states; `as-issued`: it is "
        "the one that was issued here; `archive`: hashes and sums of an archive agree."
    )
    status: Literal["ok", "differs", "not-checked"] = Field(
        description="`ok`, `differs`, or `not-checked` if the check was not possible."
    )
    detail: str = Field(description="What was compared, or the path of the first difference.")


class DocumentVerification(Wire):
    """A document, checked by itself and against the server's records."""

    kind: Literal["price-tag", "report", "archive", "text"] = Field(
        description="What the document is: a text is searched for hashes."
    )
    sha256: Sha256 | None = Field(
        description="Hash of the document, or of the report in an archive, computed now; null for "
        "a text."
    )
    outcome: Outcome | Literal["unknown"] = Field(
        description="Result of all steps and items; `unknown` if no record matches the document."
    )
    steps: list[DocumentStep] = Field(description="Checks of the document itself.")
    items: list[HashVerification] = Field(
        description="Matching price tags and reports, checked now."
    )
    unknown: list[str] = Field(
        description="Hashes in the document that match no price tag or report that you may see."
    )
    not_looked_up: list[str] = Field(
        description="Further hashes in a text: only its first 20 are looked up."
    )
