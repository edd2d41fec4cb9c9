"""The archive of a frozen paper: an RO-Crate with all price tags and a script that checks it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from app.reports.paper_files import FILES, ZIP_TYPE, paper_file, zipped
from pricetag.tag import archive_check

MEDIA_TYPE = ZIP_TYPE
METADATA, SCRIPT, README = "ro-crate-metadata.json", "verify.py", "README.txt"

TYPES = {
    ".json": "application/json",
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".tex": "application/x-tex",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".svg": "image/svg+xml",
    ".bib": "application/x-bibtex",
    ".yaml": "application/yaml",
    ".py": "text/x-python",
    ".txt": "text/plain",
}


def paper_archive(
    context: Mapping[str, Any],
    price_tags: Mapping[str, str],
    reports: Mapping[str, bytes],
    figures: Mapping[str, bytes] | None = None,
) -> bytes:
    """The archive of a frozen paper as a ZIP file.

    Args:
        context: Content of a report on the frozen paper.
        price_tags: The text of each price tag of which the paper has the hash, by run ID.
        reports: The report in its formats.
        figures: The figures of its LaTeX, by file name.
    """
    files: dict[str, bytes] = dict(figures or {})
    files |= {f"price-tags/{run_id}.json": text.encode() for run_id, text in price_tags.items()}
    files |= {f"report.{fmt}": content for fmt, content in reports.items()}
    files |= {name: paper_file(context, name).content for name in FILES}
    script = resources.files("pricetag.tag").joinpath("archive_check.py").read_bytes()
    files |= {SCRIPT: script, README: _readme(context).encode()}
    files[METADATA] = _json(_crate(context, files))
    files[archive_check.CHECKS] = _json(_checks(files))
    return zipped(files)


def _checks(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The hash of each file, and a code for each value or line, which names a changed one."""
    return {
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "codes": {
            name: "".join(code for _, _, code in archive_check.parts(name, content))
            for name, content in files.items()
        },
    }


def _readme(context: Mapping[str, Any]) -> str:
    paper = context["paper"]
    return (
        f"Price tags of all runs behind: {context['title']}\n\n"
        f"Runs: {len(paper['runs'])}\n"
        f"SHA-256 of the selection: {paper['selection_sha256']}\n\n"
        "report.*: the report, in six formats (figure-*.pdf: figures of the LaTeX);\n"
        "paper.json: runs, published rows, sums, curves and frontier;\n"
        "price-tags: the price tag of each run, as it was hashed.\n\n"
        "To add everything up again, with Python 3.10 or later and nothing else:\n\n"
        "    python3 verify.py\n"
    )


def _crate(context: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """The metadata of the crate.

    Source:
        RO-Crate Metadata Specification 1.1.
    """
    paper = context["paper"]
    names = [*files, archive_check.CHECKS]
    tool = {"@id": "#pricetag", "@type": "SoftwareApplication", "name": "Pricetag"}
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Price tag of: {context['title']}",
        "description": context["lead"],
        "datePublished": paper["frozen_at"],
        "identifier": paper["selection_sha256"],
        "license": "as stated by the authors",
        "hasPart": [{"@id": name} for name in sorted(names)],
        "mentions": [{"@id": f"#{run['run_id']}"} for run in paper["runs"]],
    }
    if paper["authors"]:
        root["author"] = paper["authors"]
    about = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    parts = [
        {
            "@id": name,
            "@type": "File",
            "name": name,
            "encodingFormat": TYPES[PurePosixPath(name).suffix],
            **({"contentSize": str(len(files[name]))} if name in files else {}),
        }
        for name in sorted(names)
    ]
    actions = [
        {
            "@id": f"#{run['run_id']}",
            "@type": "CreateAction",
            "name": run["name"],
            "instrument": {"@id": "#pricetag"},
            "actionStatus": "http://schema.org/CompletedActionStatus"
            if run["status"] == "succeeded"
            else "http://schema.org/FailedActionStatus",
            "result": {"@id": f"price-tags/{run['run_id']}.json"},
        }
        for run in paper["runs"]
    ]
    graph = [about, root, *parts, tool, *actions]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
