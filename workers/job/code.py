"""The code of a command: copied into the run's work folder, read-only, and hashed.

The hash is the result of ``find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum`` in
the copy, with names that do not begin with ``./``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pricetag.recipes.code import GitCode
from workers.job import roots
from workers.job.request import Job, JobError

MAX_BYTES = 256 * 1024 * 1024
MAX_FILES = 20_000
SKIPPED_FOLDERS = frozenset({".git", "__pycache__"})
GIT_TIMEOUT_S = 120.0
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """The code that a program ran from.

    Attributes:
        path: Path in the recipe.
        commit: Full SHA of the git commit; None for a folder.
        sha256: Hash of the names and contents of its files.
    """

    path: str
    commit: str | None
    sha256: str
    files: int
    size_bytes: int


def bring(code: str | GitCode, job: Job, target: Path, field: str) -> CodeFacts:
    """Copies the code to ``target``, where an earlier attempt may have put it already.

    Later attempts use the copy of the first one as long as it is unchanged, so that all
    attempts of a run use the same code. Files that a program wrote beside the code stay.

    Raises:
        JobError: ``missing-file``, ``path-outside-roots``, ``bad-code``, ``code-too-large``.
    """
    note = target.with_name(f"{target.name}.json")
    if (existing := _existing_copy(note, target)) is not None:
        return existing
    if job.program_user is not None:
        shutil.rmtree(target, ignore_errors=True)  # the program's user may have created links there
    path = code if isinstance(code, str) else code.git
    commit = None
    source = roots.find(path, job.data_roots, field)
    if isinstance(code, GitCode):
        export = target.with_name(f"{target.name}.export")
        commit = _export(source, code, export, field)
        source = export
    if not source.is_dir():
        raise JobError("bad-code", f"'{path}' is not a folder", field)
    digests, size_bytes = _copy(source, target, field)
    if commit is not None:
        shutil.rmtree(source)
    facts = CodeFacts(path, commit, _together(digests), len(digests), size_bytes)
    note.write_text(json.dumps({"facts": asdict(facts), "digests": digests}))
    return facts


def _existing_copy(note: Path, target: Path) -> CodeFacts | None:
    """Facts about an earlier attempt's copy, if all its files are unchanged."""
    try:
        recorded = json.loads(note.read_text())
        digests = {name: _sha256(target / name) for name in recorded["digests"]}
    except (OSError, ValueError, KeyError):
        return None
    return CodeFacts(**recorded["facts"]) if digests == recorded["digests"] else None


def _copy(source: Path, target: Path, field: str) -> tuple[dict[str, str], int]:
    """Copies all files; returns their digests by name, and their total size in bytes."""
    digests: dict[str, str] = {}
    size_bytes = 0
    for name, file in _files(source, field):
        size_bytes += file.stat().st_size
        if size_bytes > MAX_BYTES or len(digests) >= MAX_FILES:
            limit = f"{MAX_BYTES >> 20} MiB or {MAX_FILES} files"
            message = f"the code is larger than {limit}; data belongs under the data roots"
            raise JobError("code-too-large", message, field)
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        shutil.copyfile(file, place)
        is_program = file.stat().st_mode & stat.S_IXUSR
        place.chmod(0o555 if is_program else 0o444)
        digests[name] = _sha256(place)
    if not digests:
        raise JobError("bad-code", "the code folder has no files", field)
    return digests, size_bytes


def _files(source: Path, field: str) -> Iterator[tuple[str, Path]]:
    """Names and files below a folder; links are followed as long as they stay in it."""
    inside = source.resolve()
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for link in [name for name in folders if (Path(folder) / name).is_symlink()]:
            message = f"'{(Path(folder) / link).relative_to(source)}' is a link to a folder"
            raise JobError("bad-code", message, field)
        for name in sorted(names):
            file = Path(folder) / name
            shown = file.relative_to(source).as_posix()
            if not file.resolve().is_relative_to(inside):
                message = f"'{shown}' is a link that leaves the code folder"
                raise JobError("path-outside-roots", message, field)
            if not file.is_file():
                raise JobError("bad-code", f"'{shown}' is not a regular file", field)
            yield shown, file


def _export(repository: Path, code: GitCode, target: Path, field: str) -> str:
    """Puts the files of a commit into ``target``; returns the commit's full SHA."""
    git = ["git", "-c", "safe.directory=*", "-C", str(repository)]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    archive = target.with_suffix(".tar")
    try:
        name = f"{code.commit}^{{commit}}"
        full = _output([*git, "rev-parse", "--verify", "--quiet", name]).strip()
        _output([*git, "archive", "--format=tar", f"--output={archive}", full])
        with tarfile.open(archive) as files:
            files.extractall(target, filter="data")
    except FileNotFoundError as error:
        raise JobError("bad-code", "git is not installed on this worker", field) from error
    except (subprocess.SubprocessError, tarfile.TarError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        message = f"commit {code.commit} of '{code.git}' cannot be read: {reason.strip()[:500]}"
        raise JobError("bad-code", message, f"{field}.commit") from error
    finally:
        archive.unlink(missing_ok=True)
    return full


def _output(command: list[str]) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S
    ).stdout


def _together(digests: dict[str, str]) -> str:
    lines = (f"{digests[name]}  {name}\n" for name in sorted(digests, key=os.fsencode))
    return hashlib.sha256(b"".join(map(os.fsencode, lines))).hexdigest()


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
