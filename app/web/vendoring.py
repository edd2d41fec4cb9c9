"""Files of other projects: fetches them again, and compares their hashes (``make vendor``).

``static/vendor/MANIFEST.toml`` lists each file with its package, version, hash and license. The
server itself loads nothing from elsewhere, and needs no network for its pages.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "app/web/static"
MANIFEST = STATIC / "vendor/MANIFEST.toml"
REGISTRY = "https://registry.npmjs.org"
SHAPES = {
    "counter": '<path d="M1 1h10v10H1z" fill="currentColor"/>',
    "integrated": '<path d="M1 1h10v10H1z" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    '<path d="M1 1h5v10H1z" fill="currentColor"/>',
    "modelled": '<path d="M1 1h10v10H1z" fill="none" stroke="currentColor" stroke-width="1.5"/>',
    "estimated": '<path d="M1 1h10v10H1z" fill="none" stroke="currentColor" stroke-width="1.5"'
    ' stroke-dasharray="3 1.8"/>',
    "assumed": '<path d="M1 1h10v10H1z" fill="none" stroke="currentColor" stroke-width="1.6"'
    ' stroke-dasharray="0.2 2.3" stroke-linecap="round"/>',
}
"""Our own shapes of the kinds of evidence, from the strongest to the weakest."""


class VendoringError(RuntimeError):
    """A file differs from the manifest."""


def manifest() -> Mapping[str, Any]:
    """The manifest: `file`, one for each committed file, `bundle` and `icons`."""
    return tomllib.loads(MANIFEST.read_text(encoding="utf-8"))


def sha256(content: bytes) -> str:
    """Hash of a file, as the manifest has it."""
    return hashlib.sha256(content).hexdigest()


@cache
def package(name: str, version: str) -> Mapping[str, bytes]:
    """The files of a package of the registry, by their path inside it."""
    base = name.rpartition("/")[2]
    response = httpx.get(f"{REGISTRY}/{name}/-/{base}-{version}.tgz", timeout=60)
    response.raise_for_status()
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(response.content)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                files[member.name.removeprefix("package/")] = content.read()
    return files


def sprite(glyphs: Mapping[str, bytes], version: str) -> bytes:
    """One file with all icons, and our own shapes of evidence."""

    def symbol(name: str, svg: str) -> str:
        drawing = re.search(r"<svg[^>]*>(.*)</svg>", svg, re.DOTALL)
        if drawing is None:
            raise VendoringError(f"{name} is not an SVG")
        body = " ".join(drawing[1].split())
        return f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>'

    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg">',
        f"<!-- Icons: lucide-static {version}, ISC license (THIRD_PARTY.md); then our own. -->",
        *(symbol(name, svg.decode()) for name, svg in glyphs.items()),
        *(
            f'<symbol id="source-{name}" viewBox="0 0 12 12">{drawing}</symbol>'
            for name, drawing in SHAPES.items()
        ),
        "</svg>",
    ]
    return ("\n".join(lines) + "\n").encode()


def bundle() -> bytes:
    """Vega as a separate module, rebuilt from the installed package.

    Raises:
        VendoringError: If another version of the package is installed.
    """
    import vl_convert

    listed = manifest()["bundle"]
    installed = metadata.version(listed["package"])
    if installed != listed["version"]:
        raise VendoringError(
            f"{listed['package']} {installed} is installed, and {listed['version']} in the manifest"
        )
    return vl_convert.javascript_bundle(listed["exports"]).encode()


def contents() -> Iterator[tuple[str, str, bytes]]:
    """``(path, hash in the manifest, content)`` of each file, fetched again."""
    listed = manifest()
    for file in listed["file"]:
        yield (
            file["path"],
            file["sha256"],
            package(file["package"], file["version"])[file["inside"]],
        )
    yield listed["bundle"]["path"], listed["bundle"]["sha256"], bundle()
    icons = listed["icons"]
    drawings = package(icons["package"], icons["version"])
    glyphs = {name: drawings[f"icons/{glyph}.svg"] for name, glyph in icons["glyphs"].items()}
    yield icons["path"], icons["sha256"], sprite(glyphs, icons["version"])


def main() -> None:
    """Writes all files again.

    Raises:
        VendoringError: If the content of one has another hash than the manifest.
    """
    for path, expected, content in contents():
        if sha256(content) != expected:
            raise VendoringError(
                f"{path}: the hash is {sha256(content)}, and {expected} in the manifest"
            )
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(content)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
