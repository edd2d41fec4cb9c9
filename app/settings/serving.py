"""How the server answers, and how much it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class ServingSettings(BaseSettings):
    """Address, limits of requests and journals, form of the log."""

    host: Annotated[str, Field(description="Address that the server listens on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port of the server; 0 picks a free one.")
    ] = 8000
    max_body_bytes: Annotated[
        int, Field(gt=0, description="Maximum size of a request body, bytes.")
    ] = 1_000_000
    log_format: Annotated[
        Literal["text", "json"],
        Field(
            description="Form of the log of server and worker: `text`, or `json`, an object per "
            "line with the IDs of the request, run and attempt that it is about."
        ),
    ] = "text"

    max_journal_bytes: Annotated[
        int,
        Field(
            gt=0,
            description="Maximum size of the journal of a run that no queue started, bytes. It "
            "arrives in parts of at most `PRICETAG_MAX_BODY_BYTES`.",
        ),
    ] = 10_000_000_000
    journal_silence_days: Annotated[
        float,
        Field(
            gt=0,
            le=36_500,
            description="Days without a new part after which a run whose journal has not arrived "
            "to its end is ended as failed, with what has arrived.",
        ),
    ] = 7.0
