"""File format of a data set: header, encoding, separators, quotes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import ColumnName, Params

DELIMITED_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".json")
TEXT_SUFFIXES = (*DELIMITED_SUFFIXES, *JSON_SUFFIXES)
FILE_SUFFIXES = (*TEXT_SUFFIXES, ".parquet", *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES))

_APPLIES_TO = {
    "header": DELIMITED_SUFFIXES,
    "columns": DELIMITED_SUFFIXES,
    "separator": DELIMITED_SUFFIXES,
    "quote": DELIMITED_SUFFIXES,
    "label_separator": DELIMITED_SUFFIXES,
    "encoding": TEXT_SUFFIXES,
    "records": (".json",),
}
_OF_CELLS = ("header", "columns", "separator", "quote")


def table_suffix(path: str) -> str:
    """Suffix that determines a file's format: ``.csv`` for ``a.CSV`` and for ``a.csv.gz``."""
    name = path.lower().removesuffix(".gz")
    return "." + name.rpartition(".")[2]


class TableOptions(Params):
    """Format of the files; the defaults are csv with a header line, in UTF-8."""

    header: Literal["none"] | None = Field(
        None,
        description="none: csv, tsv and txt files have no header line. Their columns are called "
        "1, 2, ... unless 'columns' names them.",
    )
    columns: Annotated[list[ColumnName], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Names of all columns of csv, tsv or txt files without a header line."
    )
    encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"] = Field(
        "utf-8", description="Text encoding of csv, tsv, txt and json files."
    )
    separator: Literal["\t", ",", ";", "|"] | None = Field(
        None, description="Separator of cells. Default: a comma in .csv files, otherwise a tab."
    )
    quote: Literal["none"] | None = Field(
        None,
        description="none: a quotation mark in csv is an ordinary character, as it always is in "
        "tsv and txt.",
    )
    label_separator: (
        Annotated[str, Field(min_length=1, max_length=10, pattern=r"^[^\r\n]+$")] | None
    ) = Field(
        None,
        description="End of the label in lines without columns that begin with the label. With "
        "':' the rest of the first word is a sub-label and is dropped (LABEL:sub text).",
    )
    records: ColumnName | None = Field(
        None, description="Key of the list of rows in a JSON object, e.g. data."
    )

    def set_table_options(self) -> list[str]:
        """The options that differ from their defaults."""
        fields = TableOptions.model_fields
        return [name for name in _APPLIES_TO if getattr(self, name) != fields[name].default]

    def check_table_options(self, files: Iterable[str], *, hub: bool, pairs: bool) -> None:
        """Reject options that no file of the data set can use, or that contradict each other.

        Args:
            files: Paths of all splits.
            hub: Whether the data set is on the hub.
            pairs: Whether each row has two texts.

        Raises:
            PydanticCustomError: With the option as ``field``.
        """
        suffixes = {table_suffix(file) for file in files}
        for option in self.set_table_options():
            if hub:
                raise _fault(option, "belongs to files, not to a hub data set; remove it")
            if suffixes.isdisjoint(_APPLIES_TO[option]):
                kinds = ", ".join(_APPLIES_TO[option])
                raise _fault(option, f"applies to {kinds} files only, and no split is one")
        if self.label_separator is None:
            return
        for option in _OF_CELLS:
            if option in self.set_table_options():
                raise _fault(option, "does not apply to lines with a label_separator; remove it")
        if pairs:
            raise _fault("text_pair", "lines with a label_separator have one text; remove it")


def _fault(option: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("table_option", "{message}", {"message": message, "field": option})
