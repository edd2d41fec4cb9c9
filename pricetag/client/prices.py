"""Calls about the cost of runs: quotes, price tags, reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pricetag.accounting.document.records import PriceTag
from pricetag.client.connection import Connection, path_segment
from pricetag.client.shown import ShownPriceTag
from pricetag.wire import ChartFormat, ReportFormat, ReportTable


class PriceCalls(Connection):
    """Quotes, price tags, comparisons and reports."""

    def quote(self, **figures: Any) -> dict[str, Any]:
        """The price of work without a run; fields as `pricetag estimate` has them."""
        return self._json("POST", "/v1/quotes", figures)

    def quote_run(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """The quote that a run would get if it were posted now; nothing is reserved."""
        return self._json("POST", "/v1/quotes", {"run": dict(run)})

    def run_quote(self, run_id: str) -> dict[str, Any]:
        """A run's quote, its projection, and the comparison with its price tag."""
        return self._get(f"/v1/runs/{path_segment(run_id)}/quote")

    def quote_score(self) -> dict[str, Any]:
        """Accuracy of quotes, by method, similarity, pool and quantity."""
        return self._get("/v1/quotes/score")

    def price_tag(self, run_id: str, version: int | None = None) -> dict[str, Any]:
        """The run's price tag, the newest unless a version is named."""
        path = f"/v1/runs/{path_segment(run_id)}/price-tag"
        return ShownPriceTag(self._get(path, {"version": version}))

    def price_tag_document(self, run_id: str, version: int | None = None) -> PriceTag:
        """The same as a typed document, from any version of the accounting.

        Raises:
            InvalidDocument: If the response does not have the form of a price tag.
        """
        return PriceTag.from_dict(self.price_tag(run_id, version))

    def price_tags(self, run_id: str) -> list[dict[str, Any]]:
        """Every version of the run's price tag with cause, hash and totals; newest first."""
        page = self._get(f"/v1/runs/{path_segment(run_id)}/price-tags")
        return cast(list[dict[str, Any]], page["items"])

    def reprice(self, run_id: str, *, as_of: str | None = None) -> dict[str, Any]:
        """Issues a new version with the factors as they had been entered by `as_of`."""
        return self._json(
            "POST", f"/v1/runs/{path_segment(run_id)}/price-tag/reprice", {"as_of": as_of}
        )

    def verify_price_tag(self, run_id: str, version: int | None = None) -> dict[str, Any]:
        """The server's verification of a price tag."""
        return self._get(
            f"/v1/runs/{path_segment(run_id)}/price-tag/verification", {"version": version}
        )

    def compare(
        self,
        a: Sequence[str],
        b: Sequence[str],
        *,
        metric: str = "it_energy_kwh",
        seeds: int | None = None,
        others: Sequence[Sequence[str]] = (),
    ) -> dict[str, Any]:
        """Ratio of groups of runs to ``b``, in which shared errors cancel, and their quality.

        ``seeds`` is the number of seeds that each group needs for a verdict on its quality;
        ``others`` are up to six further groups.
        """
        query: dict[str, Any] = {"a": ",".join(a), "b": ",".join(b), "metric": metric}
        query |= {letter: ",".join(ids) for letter, ids in zip("cdefgh", others, strict=False)}
        if seeds is not None:
            query["seeds"] = seeds
        return self._get("/v1/comparisons", query)

    def chart(
        self, sha256: str, fmt: ChartFormat, *, theme: str = "light", size: str = "wide"
    ) -> bytes:
        """A chart of a page in one format, ready to write to a file.

        Args:
            sha256: Hash of the chart, from its page.
            fmt: svg, png, pdf, json (Vega-Lite) or csv.
            theme: light, dark or print.
            size: narrow, medium, wide or full.
        """
        path = f"/v1/charts/{path_segment(sha256)}.{fmt}"
        return self._send("GET", path, params={"theme": theme, "size": size}).content

    def create_report(
        self,
        title: str,
        *,
        runs: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,
        profile: str = "strubell2019",
        versions: Mapping[str, int] | None = None,
        table: ReportTable | None = None,
    ) -> dict[str, Any]:
        """Creates a report of these runs, or of those that a filter selects.

        ``versions`` states versions of price tags by run; the default is the newest.
        ``table`` selects a report on one table: ``glue``.
        """
        body: dict[str, Any] = {"title": title, "profile": profile}
        if table is not None:
            body["table"] = table
        if versions:
            body["versions"] = dict(versions)
        if runs is not None:
            body["runs"] = list(runs)
        if filter is not None:
            body["filter"] = dict(filter)
        return self._json("POST", "/v1/reports", body)

    def list_reports(self) -> Iterator[dict[str, Any]]:
        """All reports, newest first."""
        return self._pages("/v1/reports", {"limit": 200})

    def get_report(self, report_id: str) -> dict[str, Any]:
        """A report as data."""
        return self._get(f"/v1/reports/{path_segment(report_id)}")

    def render_report(self, report_id: str, fmt: ReportFormat) -> bytes:
        """A report in one format, ready to write to a file."""
        return self._send("GET", f"/v1/reports/{path_segment(report_id)}.{fmt}").content
