"""Files of the pages: read once, served under a hash of their content, and cached indefinitely.

The hash is that of all files together, and part of the folder: so modules import one another by
relative paths, and none is mixed with one of another version.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from app.api.access import OPEN

STATIC = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
COMPRESSED = frozenset(MEDIA_TYPES)


@dataclass(frozen=True)
class Asset:
    """A file of ours."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        suffix = Path(self.name).suffix
        return MEDIA_TYPES.get(suffix) or mimetypes.guess_type(self.name)[0] or "text/plain"

    @cached_property
    def compressed(self) -> bytes | None:
        """The content in gzip, where that makes it smaller."""
        if Path(self.name).suffix not in COMPRESSED:
            return None
        return gzip.compress(self.content, mtime=0)


class Assets:
    """All files of a folder, with the hash of all of them.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        contents = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]
        self.files: Mapping[str, Asset] = {name: Asset(name, content) for name, content in contents}
        digest = hashlib.sha256()
        for name, content in contents:
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self.hash = digest.hexdigest()[:16]

    def path(self, name: str) -> str:
        """The path of a file from the root of the server.

        Raises:
            KeyError: If there is no such file.
        """
        return f"/static/{self.hash}/{self.files[name].name}"

    def response(self, request: Request, version: str, name: str) -> Response:
        """A file; one of another version is not kept by the browser.

        Raises:
            HTTPException: If there is no such file (404).
        """
        asset = self.files.get(name)
        if asset is None:
            raise HTTPException(404)
        headers = {
            "Cache-Control": FOREVER if version == self.hash else "no-store",
            "Vary": "Accept-Encoding",
        }
        content = asset.content
        if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            content = asset.compressed
            headers["Content-Encoding"] = "gzip"
        return Response(content, media_type=asset.media_type, headers=headers)


def install(app: FastAPI) -> None:
    """Serves the files of the pages."""
    assets = Assets()
    app.state.assets = assets

    @app.get("/static/{version}/{name:path}", include_in_schema=False, dependencies=[OPEN])
    async def show_asset(request: Request, version: str, name: str) -> Response:
        return assets.response(request, version, name)
