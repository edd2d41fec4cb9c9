"""Charts of the pages as files: pictures, document and data."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from app.api.access import SEE_CHART
from app.api.branches import Branch
from app.api.deps import Caller, ServerResources
from app.api.v1.responses import problems
from app.charts.chart import Size
from app.charts.theme import Theme
from app.services.saved import charts
from app.services.saved.charts import ChartFormat

router = Branch(prefix="/charts", tags=["insights"])

MEDIA_TYPES: dict[ChartFormat, str] = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
}
FOREVER = "private, max-age=31536000, immutable"

# A picture holds names from users: opened by itself, it must not run or load anything.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


@router.get(
    "/{sha256}.{fmt}",
    dependencies=[SEE_CHART],
    summary="Download a chart",
    response_class=Response,
    responses={
        **problems(404),
        200: {
            "description": "The chart; the content of a hash never changes.",
            "content": {
                kind: {"schema": {"type": "object"} if kind == MEDIA_TYPES["json"] else {}}
                for kind in MEDIA_TYPES.values()
            },
        },
    },
)
async def get_chart(
    resources: ServerResources,
    caller: Caller,
    sha256: Annotated[
        str, Path(pattern="^[0-9a-f]{64}$", description="Hash of the chart, from its page.")
    ],
    fmt: Annotated[
        ChartFormat, Path(description="Format of the chart: svg, png, pdf, json or csv.")
    ],
    theme: Annotated[
        Theme, Query(description="Colors of the chart: `light`, `dark` or `print`.")
    ] = "light",
    size: Annotated[
        Size,
        Query(
            description="Size of the chart, by its width in pixels: `narrow` (320), "
            "`medium` (520), `wide` (760) or `full` (1100)."
        ),
    ] = "wide",
) -> Response:
    """A chart of a page as SVG, as PNG at twice its size, as PDF, as a Vega-Lite document, or its
    rows as CSV. A page stores its charts when it is opened; an unused chart is deleted after 90
    days.
    """
    async with resources.database.session_scope() as session:
        stored = await charts.read(session, caller, sha256)
    content = await charts.file(stored, resources.charts, fmt, theme=theme, size=size)
    name = f"{stored.document['usermeta']['kind']}-{sha256[:8]}.{fmt}"
    headers = {
        "Cache-Control": FOREVER,
        "Content-Disposition": f'inline; filename="{name}"',
        "Content-Security-Policy": POLICY,
        "ETag": f'"{sha256}.{fmt}.{theme}.{size}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, media_type=MEDIA_TYPES[fmt], headers=headers)
