"""The files of the pages: from here alone, without inline code, those of others unchanged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.web import vendoring

ROOT = Path(__file__).parents[3]
WEB = ROOT / "app/web"
VENDORED = WEB / "static/vendor"
OWN = [
    path
    for folder in ("static", "templates")
    for path in sorted((WEB / folder).rglob("*"))
    if path.is_file() and VENDORED not in path.parents
]
NAMESPACE = "http://www.w3.org/2000/svg"
INLINE = re.compile(
    r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:|hx-on|js:", re.I
)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_of_ours_names_another_server(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(NAMESPACE, "")
    assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+", text, re.I)
    assert "@import" not in text


@pytest.mark.parametrize("path", sorted(WEB.glob("templates/**/*.html")), ids=lambda p: p.name)
def test_no_template_has_inline_code_or_style(path: Path) -> None:
    assert not INLINE.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(WEB.glob("templates/**/*.html")), ids=lambda p: p.name)
def test_no_template_has_a_link_that_would_lose_a_prefix(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:href|src|action)=["']/""", text)


def test_the_rules_for_templates_would_find_what_they_forbid() -> None:
    for text in ('<p style="x">', "<script>x</script>", "<a onclick=x>", "<style>", "hx-on:click"):
        assert INLINE.search(text), text
    assert not INLINE.search('<script src="x"></script>')


def test_files_of_others_are_unchanged_and_all_are_listed() -> None:
    listed = vendoring.manifest()
    hashes = {file["path"]: file["sha256"] for file in listed["file"]}
    hashes[listed["icons"]["path"]] = listed["icons"]["sha256"]
    hashes[listed["bundle"]["path"]] = listed["bundle"]["sha256"]
    for path, expected in hashes.items():
        assert vendoring.sha256((ROOT / path).read_bytes()) == expected, path
    folders = (VENDORED, ROOT / "tests/browser/vendor")
    committed = {
        path.relative_to(ROOT).as_posix() for folder in folders for path in folder.iterdir()
    }
    assert committed == hashes.keys() - {listed["icons"]["path"]} | {
        "app/web/static/vendor/MANIFEST.toml"
    }


def test_the_vega_bundle_is_that_of_the_pinned_package_byte_for_byte() -> None:
    listed = vendoring.manifest()["bundle"]
    assert vendoring.bundle() == (ROOT / listed["path"]).read_bytes()
    pinned = f"{listed['package']}=={listed['version']}"
    assert pinned in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f'"{pinned}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_project_of_the_files_has_its_notice() -> None:
    notices = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    listed = vendoring.manifest()
    names = {"htmx.org": "htmx", "uplot": "uPlot", "swagger-ui-dist": "Swagger UI"}
    names["vl-convert-python"] = "Vega (bundle)"
    for file in (*listed["file"], listed["icons"], listed["bundle"]):
        package, version = file["package"], file["version"]
        title = names.get(package, "Lucide (icons)" if package == "lucide-static" else package)
        assert f"## {title} {version}" in notices, package


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = (WEB / "static/icons.svg").read_text(encoding="utf-8")
    symbols = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    texts = [path.read_text(encoding="utf-8") for path in WEB.glob("templates/**/*.html")]
    named = {name for text in texts for name in re.findall(r"icon\('([a-z-]+)'\)", text)}
    statuses = {f"status-{name}" for name in ("queued", "running", "succeeded", "failed")}
    assert named | statuses | {"status-cancelled"} <= symbols
