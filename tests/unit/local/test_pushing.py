"""Pushing a local run, against a server that is a few lines here."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag_command
from pricetag.cli.local_runs import listed_run
from pricetag.cli.views.runs import runs_view
from pricetag.line_chain import NO_LINES, extended
from pricetag.local import pushing
from pricetag.local.pushing import IncompleteError, PushError, is_pushed, push, pushes_of
from pricetag.local.runs import LocalRun, LocalRuns
from pricetag.local.settings import read_settings
from pricetag.metering.journal import Journal
from pricetag.wire import ApiError
from tests.support.fake_api import Answer, Asked, problem, serving
from tests.support.local_runs import AT, ATTEMPT_ID, RUN_ID, Bench, plant, records

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
        self.sizes: list[int] = []
        self.projects: set[str | None] = set()
        self.more: dict[str, Any] = {}
        self._failing = failing

    def journal_state(
        self, attempt_id: str, *, retry: bool = True, parts: bool = False
    ) -> dict[str, Any] | None:
        assert attempt_id == ATTEMPT_ID
        if not self.content:
            return None
        return self._state() | ({"parts": self._listed()} if parts else {})

    def send_journal(
        self, attempt_id: str, begin_byte: int, content: bytes, *, project: str | None = None
    ) -> dict[str, Any]:
        self.parts.append(len(content))
        self.projects.add(project)
        self._failing(len(self.parts), begin_byte, content)
        assert (attempt_id, begin_byte) == (ATTEMPT_ID, len(self.content))
        assert content.endswith(b"\n")
        self.content += content
        self.sizes.append(len(content))
        return self._state() | {"warnings": ["the lab's factors apply"]}

    def _state(self) -> dict[str, Any]:
        lines = self.content.splitlines()
        chain = extended(NO_LINES, lines)
        state = {"size_bytes": len(self.content), "records": len(lines), "chain_sha256": chain}
        status = "succeeded" if b'"type":"end"' in self.content else "running"
        state |= {"rejected": 0, "price_tag_version": 1, "warnings": [], "status": status}
        return state | self.more

    def _listed(self) -> list[dict[str, Any]]:
        begins = [sum(self.sizes[:number]) for number in range(len(self.sizes))]
        return [
            {
                "begin_byte": begin,
                "size_bytes": size,
                "sha256": hashlib.sha256(self.content[begin : begin + size]).hexdigest(),
            }
            for begin, size in zip(begins, self.sizes, strict=True)
        ]


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


def test_a_line_that_the_server_does_not_take_is_named_with_its_size(tmp_path: Path) -> None:
    start, first, *rest = records()
    line = {"type": "log", "t_s": 0.5, "at": AT, "stream": "stdout", "text": "x" * 3000}
    run = plant(tmp_path, [start, first, line, *rest])

    def small(number: int, begin_byte: int, part: bytes) -> None:
        assert number < 50
        if len(part) > 1000:
            raise ApiError(413, "body-too-large", "The body is larger than the 1000 bytes allowed.")

    server = Server(small)
    with pytest.raises(PushError, match=r"line 3 .* 3,\d+ bytes.*1000 bytes.*MAX_BODY_BYTES"):
        push(run, server)
    assert server.content.count(b"\n") == 2


def test_a_server_that_takes_no_more_ends_the_push(tmp_path: Path) -> None:
    run, content = planted(tmp_path)

    class Stuck(Server):
        def send_journal(self, *_: Any, **__: Any) -> dict[str, Any]:
            return self._state()

    with pytest.raises(PushError, match=f"still has 0 of {len(content):,} bytes"):
        push(run, Stuck())


def test_a_server_that_was_restored_gets_again_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "PART_BYTES", 700)
    run, content = planted(tmp_path)

    def restored(number: int, begin_byte: int, part: bytes) -> None:
        if number == 3:
            server.content = server.content[: server.parts[0]]
            del server.sizes[1:]
            raise ApiError(409, "journal-gap", "continue earlier")

    server = Server(restored)
    push(run, server)
    assert server.content == content


def test_another_journal_of_the_same_attempt_is_named_and_left(tmp_path: Path) -> None:
    run, content = planted(tmp_path)
    server = Server()
    server.content = content.replace(b":80.0", b":80.5")[: content.index(b"\n", 1500) + 1]
    before = server.content
    first = content.index(b"\n") + 1
    server.sizes = [first, len(before) - first]
    place = rf"bytes {first:,} to {len(before):,} of its journal \(lines 2 to \d+\) are not those"
    with pytest.raises(PushError, match=f"{place}.*Push the unchanged journal"):
        push(run, server)
    server.content += b"x" * len(content)
    with pytest.raises(PushError, match=place):
        push(run, server)
    assert server.content.startswith(before)
    assert server.parts == []


def test_a_run_that_the_server_cannot_settle_is_not_pushed(tmp_path: Path) -> None:
    run, content = planted(tmp_path)
    server = Server()
    server.more = {"status": "running", "rejected": 1}
    with pytest.raises(IncompleteError, match=r"incomplete: all \d+ lines.*pricetag cancel"):
        push(run, server)
    assert server.content == content
    assert not is_pushed(run, URL)


def test_a_journal_that_was_changed_is_not_sent(tmp_path: Path) -> None:
    run, content = planted(tmp_path)
    server = Server()
    first, rest = content.split(b"\n", 1)
    end = content.rindex(b"\n", 0, -1) + 1
    for changed, why in (
        (content.replace(b'"counter_j":400.0', b'"counter_j":390.0'), r"attempts\[0\]"),
        (rest, "the journal has no start"),
        (content[:end], "the journal has no end"),
        (first + b"\n{\n" + rest, "line 2 is not JSON"),
    ):
        run.journal.write_bytes(changed)
        with pytest.raises(PushError, match=f"{why}.*pricetag verify {RUN_ID[:8]} --local"):
            push(run, server)
    assert server.parts == []
    run.journal.write_bytes(content)
    assert run.price_tag is not None
    run.price_tag["name"] = "another"
    with pytest.raises(PushError, match="its hash is not that of its content"):
        push(run, server)


def test_what_is_otherwise_on_the_server_is_said(tmp_path: Path) -> None:
    run, _ = planted(tmp_path)
    server = Server()
    assert run.price_tag is not None
    own = run.price_tag["it_energy_kwh"]["value"]
    server.more = {"project": "gamma", "it_energy_kwh": own}
    assert push(run, server, project="gamma")["warnings"] == ["the lab's factors apply"]
    server.more = {"project": "gamma", "it_energy_kwh": own / 2}
    project, energy = push(run, server, project="delta")["warnings"]
    assert "in the project gamma on the server already: delta is not used" in project
    assert f"{own / 2:.6g} kWh of IT energy, the one on this machine {own:.6g} kWh" in energy


def test_a_running_program_is_not_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.create(tmp_path / "local" / RUN_ID, ATTEMPT_ID)
    journal.append_all(records(ends=False))
    (run,) = LocalRuns(tmp_path / "local").all()
    with pytest.raises(PushError, match="it is running"):
        push(run, Server())
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PRICETAG_URL", URL)
    monkeypatch.setattr("sys.argv", ["pricetag", "push", "--all"])
    assert pricetag_command() == 0
    assert "1 is running: push it when it has ended" in capsys.readouterr().out
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


def test_an_error_of_the_server_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path / "local")
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["pricetag", "push", RUN_ID])
    text = "The machine's clock is wrong."
    state = f"GET /v1/intake/journals/{ATTEMPT_ID}"
    with serving() as api:
        monkeypatch.setenv("PRICETAG_URL", api.url)
        api.answers[state] = problem(422, "invalid", text, {"field": None, "message": text})
        assert pricetag_command() == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"pricetag: {RUN_ID[:8]} is not pushed: {text}"
        api.answers[state] = problem(401, "unauthenticated", "No token.")
        monkeypatch.setenv("PRICETAG_TOKEN", " ")
        assert pricetag_command() == 1
        assert "set PRICETAG_TOKEN" in capsys.readouterr().err


def test_a_block_is_pushed_by_its_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a server that is there; one that is away is a line, and the script has succeeded."""
    sent: list[bytes] = []

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return problem(404, "journal-not-found", "Nothing has arrived.")
        sent.append(gzip.decompress(asked.body.encode("utf-8", "surrogateescape")))
        state = {"size_bytes": sum(map(len, sent)), "status": "succeeded", "warnings": []}
        return Answer(state | {"chain_sha256": "", "rejected": 0, "price_tag_version": 1})

    text = """
import os, pricetag
for url in (os.environ["PRICETAG_URL"], "http://127.0.0.1:9"):
    os.environ["PRICETAG_URL"] = url
    with pricetag.track("block", quiet=True) as run: pass
    assert run.price_tag is not None
"""
    bench = Bench(tmp_path)
    with serving() as api:
        monkeypatch.setattr(api, "answer", answer)
        bench.environ |= {"PRICETAG_URL": api.url, "PRICETAG_PUSH": "on"}
        process = bench.script(text)
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    there, away = errors.splitlines()
    assert f"pushed: {api.url}/runs/" in there
    assert b'"type":"end"' in sent[-1]
    assert "the run is not pushed: no response from http://127.0.0.1:9" in away
