"""Pushing a local run, against a server that is a few lines here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag_command
from pricetag.cli.local_runs import listed_run
from pricetag.cli.views.runs import runs_view
from pricetag.line_chain import NO_LINES, extended
from pricetag.local import pushing
from pricetag.local.pushing import PushError, is_pushed, push, pushes_of
from pricetag.local.runs import LocalRun, LocalRuns
from pricetag.local.settings import read_settings
from pricetag.metering.journal import Journal
from pricetag.wire import ApiError
from tests.support.local_runs import ATTEMPT_ID, RUN_ID, Bench, plant, records

URL = "http://lab.test"
Failing = Callable[[int, int, bytes], None]


class Server:
    """Takes parts as a server does.

    Args:
        failing: Called with the number of the request, its place and content; may raise.
    """

    def __init__(self, failing: Failing = lambda *_: None) -> None:
        self.url = URL
        self.content = b""
        self.parts: list[int] = []
        self.projects: set[str | None] = set()
        self._failing = failing

    def journal_state(self, attempt_id: str, *, retry: bool = True) -> dict[str, Any] | None:
        assert attempt_id == ATTEMPT_ID
        return self._state() if self.content else None

    def send_journal(
        self, attempt_id: str, begin_byte: int, content: bytes, *, project: str | None = None
    ) -> dict[str, Any]:
        self.parts.append(len(content))
        self.projects.add(project)
        self._failing(len(self.parts), begin_byte, content)
        assert (attempt_id, begin_byte) == (ATTEMPT_ID, len(self.content))
        assert content.endswith(b"\n")
        self.content += content
        return self._state() | {"warnings": ["the lab's factors apply"]}

    def _state(self) -> dict[str, Any]:
        lines = self.content.splitlines()
        chain = extended(NO_LINES, lines)
        state = {"size_bytes": len(self.content), "records": len(lines), "chain_sha256": chain}
        return state | {"rejected": 0, "price_tag_version": 1, "warnings": [], "status": "running"}


def planted(tmp_path: Path) -> tuple[LocalRun, bytes]:
    run = plant(tmp_path / "local")
    return run, run.journal.read_bytes()


def test_a_journal_is_sent_in_parts_of_whole_lines_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "PART_BYTES", 700)
    run, content = planted(tmp_path)
    server, shown = Server(), list[tuple[int, int]]()
    state = push(run, server, project="vision", progress=lambda *sent: shown.append(sent))
    assert (server.content, server.projects) == (content, {"vision"})
    assert len(server.parts) > 2
    assert shown[0] == (0, len(content))
    assert shown[-1] == (len(content), len(content))
    assert state["warnings"] == ["the lab's factors apply"]
    assert is_pushed(run, URL)
    sent = len(server.parts)
    push(run, server)
    assert len(server.parts) == sent
    (noted,) = pushes_of(run.folder).values()
    assert noted["chain_sha256"] == state["chain_sha256"]


def test_a_push_that_broke_off_continues_where_the_server_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "PART_BYTES", 700)
    run, content = planted(tmp_path)

    def broken(number: int, begin_byte: int, part: bytes) -> None:
        if number == 3:
            raise ApiError(401, "unauthenticated", "The token has expired.")

    server = Server(broken)
    with pytest.raises(PushError, match=r"expired.*bytes of its journal have arrived: push it"):
        push(run, server)
    assert 0 < len(server.content) < len(content)
    assert not is_pushed(run, URL)
    push(run, server)
    assert server.content == content


def test_a_part_that_the_server_finds_too_large_is_halved(tmp_path: Path) -> None:
    run, content = planted(tmp_path)

    def small(number: int, begin_byte: int, part: bytes) -> None:
        if len(part) > 1000:
            raise ApiError(413, "body-too-large", "The body is larger than allowed.")

    server = Server(small)
    push(run, server)
    assert server.content == content


def test_a_server_that_was_restored_gets_again_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "PART_BYTES", 700)
    run, content = planted(tmp_path)

    def restored(number: int, begin_byte: int, part: bytes) -> None:
        if number == 3:
            server.content = server.content[: server.parts[0]]
            raise ApiError(409, "journal-gap", "continue earlier")

    server = Server(restored)
    push(run, server)
    assert server.content == content


def test_another_journal_of_the_same_attempt_is_named_and_left(tmp_path: Path) -> None:
    run, content = planted(tmp_path)
    server = Server()
    server.content = content.replace(b":80.0", b":80.5")[: content.index(b"\n", 1500) + 1]
    before = server.content
    with pytest.raises(PushError, match="bytes of another journal of this attempt"):
        push(run, server)
    server.content += b"x" * len(content)
    with pytest.raises(PushError, match="another journal"):
        push(run, server)
    assert server.content.startswith(before)
    assert server.parts == []


def test_a_running_program_is_not_pushed(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "local" / RUN_ID, ATTEMPT_ID)
    journal.append_all(records(ends=False))
    (run,) = LocalRuns(tmp_path / "local").all()
    with pytest.raises(PushError, match="it is running"):
        push(run, Server())
    journal.close()


def test_the_list_of_local_runs_shows_where_each_was_pushed(tmp_path: Path) -> None:
    run, _ = planted(tmp_path)
    assert listed_run(run)["pushed"] == []
    assert runs_view([listed_run(run)]).rows[0][-1] == "no"
    push(run, Server())
    (pushed,) = listed_run(run)["pushed"]
    assert (pushed["url"], pushed["price_tag_version"]) == (URL, 1)
    assert runs_view([listed_run(run)]).rows[0][-1].endswith(" lab.test")


@pytest.mark.parametrize(
    ("variable", "file", "pushes"),
    [
        (None, "", False),
        ("on", "", True),
        ("OFF", "[client]\npush = true\n", False),
        (None, "[client]\npush = true\n", True),
        ("maybe", "", None),
        (None, "[client]\npush = 'yes'\n", None),
    ],
)
def test_a_setting_says_whether_runs_are_pushed_when_they_end(
    tmp_path: Path, variable: str | None, file: str, pushes: bool | None
) -> None:
    config = tmp_path / "pricetag.toml"
    config.write_text(file)
    environ = {"PRICETAG_CONFIG": str(config), "PRICETAG_DATA_DIR": str(tmp_path)}
    environ |= {} if variable is None else {"PRICETAG_PUSH": variable}
    settings = read_settings(environ)
    assert settings.push is bool(pushes)
    # A wrong value costs no measurement: it is reported, and nothing is pushed.
    assert (settings.push_problem is not None) is (pushes is None)


def test_push_wants_runs_or_all_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["pricetag", "push"])
    assert pricetag_command() == 2
    assert "name local runs, or use --all" in capsys.readouterr().err


def test_a_program_does_not_fail_because_the_server_is_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.environ |= {"PRICETAG_URL": "http://127.0.0.1:9", "PRICETAG_PUSH": "on"}
    process = bench.command(
        "run", "--quiet", "--", "sh", "-c", "exit $((3 * PRICETAG_LOCAL_METER))"
    )
    _, errors = process.communicate()
    assert process.returncode == 3
    (line,) = errors.splitlines()
    assert "the run is not pushed: no response from http://127.0.0.1:9" in line
    assert "later: pricetag push" in line


def test_a_block_is_pushed_by_its_meter_after_the_script_has_its_price_tag(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.environ |= {"PRICETAG_URL": "http://127.0.0.1:9", "PRICETAG_PUSH": "on"}
    text = "import pricetag\nwith pricetag.track('block', quiet=True) as run: pass\n"
    process = bench.script(text + "assert run.price_tag is not None")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    (line,) = errors.splitlines()
    assert "the run is not pushed: no response from http://127.0.0.1:9" in line
