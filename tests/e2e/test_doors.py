"""Invalid input to every entry of a real service: an error that names the field, and no run."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from app import embedded_postgres
from app.db import libpq_url
from tests.support.patience import PATIENCE_S
from tests.support.service import Service, wait_until
from workers.training.data import synthetic

pytestmark = pytest.mark.slow

CONFIG = {"hidden_size": 16, "num_hidden_layers": 1, "max_position_embeddings": 32}
TRAIN = {"kind": "train", "max_steps": 1, "batch_size": 8, "max_length": 32}
BODY: dict[str, Any] = {
    "project": "doors",
    "experiment": "doors",
    "name": "a run",
    "recipe": {
        "task": "classification",
        "data": {"train": "good/train.tsv", "validation": "good/dev.tsv"},
        "model": {"config": CONFIG},
        "stages": [TRAIN],
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good body with one field changed."""
    body = copy.deepcopy(BODY)
    here: Any = body
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
    here[last] = value
    return body


@pytest.fixture(scope="module")
def lab(shared_lab: Service) -> Service:
    """A worker that takes all, and one in a pool without commands."""
    synthetic.write(shared_lab.inputs / "good", train=32, dev=16, test=8)
    shared_lab.start_worker("--gpus", "none", "--cpu-slots", "4")
    shared_lab.start_worker(
        *("--gpus", "none", "--pool", "closed", "--name", "closed"), log="worker-closed"
    )
    return shared_lab


# ---- At the server: nothing is queued.

FIELDS = {
    "unknown kind": ("recipe.stages.0.kind", "trian"),
    "text for a number": ("recipe.stages.0.max_steps", "many"),
    "fraction for a count": ("resources.gpus", 1.5),
    "negative count": ("resources.gpus", -1),
    "unknown task": ("recipe.task", "translation"),
    "unknown field": ("recipe.stages.0.epoch", 3),
    "list for text": ("name", ["a", "b"]),
    "text for a list": ("tags", "sst2"),
    "climbs out of the roots": ("recipe.data.train", "../secret.tsv"),
    "unknown file format": ("recipe.data.train", "good/train.exe"),
    "no stages": ("recipe.stages", []),
    "heads that do not divide": ("recipe.model.config.num_attention_heads", 5),
    "bad pool": ("resources.pool", "a/b"),
    "time without a zone": ("not_before", "2030-01-01T00:00:00"),
}


def refused(
    response: httpx.Response, status: int, code: str, field: str | None = None
) -> dict[str, Any]:
    """The problem document, checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], problem
        assert all(error["message"] for error in problem["errors"])
    return problem


@pytest.fixture
def nothing_new(lab: Service) -> Callable[[], bool]:
    """Whether the list of runs is unchanged."""
    before = len(lab.items("/v1/runs"))
    return lambda: len(lab.items("/v1/runs")) == before


@pytest.mark.parametrize("case", FIELDS)
def test_an_invalid_field_is_named(
    lab: Service, nothing_new: Callable[[], bool], case: str
) -> None:
    field, value = FIELDS[case]
    refused(lab.http.post("/v1/runs", json=changed(field, value)), 422, "invalid-recipe", field)
    assert nothing_new()


def test_a_misspelt_kind_gets_a_hint(lab: Service) -> None:
    response = lab.http.post("/v1/runs", json=changed("recipe.stages.0.kind", "trian"))
    assert "did you mean 'train'" in response.json()["errors"][0]["hint"]


def test_every_invalid_field_is_named_at_once(lab: Service) -> None:
    body = changed("recipe.stages.0.max_steps", "many") | {"priority": "high", "tags": 3}
    problem = refused(lab.http.post("/v1/runs", json=body), 422, "invalid-recipe")
    fields = {error["field"] for error in problem["errors"]}
    assert fields == {"recipe.stages.0.max_steps", "priority", "tags"}


def test_bodies_that_cannot_be_read_are_rejected(
    lab: Service, nothing_new: Callable[[], bool]
) -> None:
    def post(content: bytes, kind: str) -> httpx.Response:
        return lab.http.post("/v1/runs", content=content, headers={"Content-Type": kind})

    yaml = post(b"project: a\nrecipe: [unclosed\n", "application/yaml")
    assert "line 3" in refused(yaml, 422, "malformed-yaml")["detail"]
    text = post(b'{"project": "a",}', "application/json")
    assert "line 1, column" in refused(text, 422, "malformed-json")["detail"]
    refused(post(b"\xff\xfe", "application/json"), 422, "malformed-body")
    refused(post(b"<run/>", "application/xml"), 415, "unsupported-media-type")
    refused(post(b"[1, 2]", "application/json"), 422, "invalid-recipe")
    huge = json.dumps(BODY | {"name": "x" * 2_000_000}).encode()
    refused(post(huge, "application/json"), 413, "body-too-large")
    bomb = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    assert post(bomb, "application/yaml").status_code == 422
    assert nothing_new()


def test_invalid_and_insufficient_tokens_are_rejected(
    lab: Service, nothing_new: Callable[[], bool]
) -> None:
    base = str(lab.http.base_url)
    for headers in ({}, {"Authorization": "Bearer pt_wrong"}, {"Authorization": "Basic eDp5"}):
        response = httpx.post(f"{base}/v1/runs", json=BODY, headers=headers, timeout=PATIENCE_S)
        refused(response, 401, "unauthenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    viewer = {"Authorization": f"Bearer {lab.new_token('viewer')}"}
    refused(
        httpx.post(f"{base}/v1/runs", json=BODY, headers=viewer, timeout=PATIENCE_S),
        403,
        "role-required",
    )
    refused(httpx.get(f"{base}/v1/tokens", headers=viewer), 403, "role-required")
    assert httpx.get(f"{base}/v1/runs", headers=viewer).status_code == 200
    revoked = lab.new_token("member")
    [mine] = [t for t in lab.http.get("/v1/tokens").json()["items"] if t["role"] == "member"]
    assert lab.http.delete(f"/v1/tokens/{mine['id']}").status_code in (200, 204)
    late = {"Authorization": f"Bearer {revoked}"}
    refused(httpx.get(f"{base}/v1/runs", headers=late), 401, "unauthenticated")
    assert nothing_new()


def test_canceling_a_finished_or_unknown_run_is_an_error(lab: Service) -> None:
    argv = {"kind": "command", "argv": ["true"]}
    run_id = lab.submit(project="over", recipe={"stages": [argv]})
    assert lab.wait_for_end(run_id)["status"] == "succeeded"
    problem = refused(lab.http.post(f"/v1/runs/{run_id}/cancel"), 409, "run-finished")
    assert "succeeded" in problem["detail"]
    refused(lab.http.post(f"/v1/runs/{UUID(int=1)}/cancel"), 404, "run-not-found", "run_id")
    refused(lab.http.post("/v1/runs/last/cancel"), 422, "invalid-request", "run_id")
    refused(lab.http.get("/v1/runs", params={"projct": "x"}), 422, "invalid-request", "projct")


# ---- At the worker: the run ends ``failed``, once, and states what to correct.


def bad_inputs(inputs: Path) -> None:
    """Everything a data root may hold that a run cannot use."""
    lines = ["sentence\tlabel", "good\t1", "bad\t0"]
    bad = inputs / "bad"
    bad.mkdir()
    (bad / "empty.tsv").write_text(lines[0] + "\n")
    (bad / "labels.tsv").write_text("\n".join([lines[0], "good\t7", "bad\t0"]) + "\n")
    (bad / "ragged.tsv").write_text("\n".join([*lines, "only one field"]) + "\n")
    (bad / "latin.tsv").write_bytes("sentence\tlabel\nsch\xf6n\t1\n".encode("latin-1"))
    (bad / "cells.jsonl").write_text('{"sentence": 5, "label": 1}\n')
    (bad / "one.tsv").write_text("\n".join([lines[0], "good\t1", "fine\t1"]) + "\n")
    outside = inputs.parent / "outside"
    outside.mkdir()
    (outside / "secret.tsv").write_text("\n".join(lines) + "\n")
    (bad / "link.tsv").symlink_to(outside / "secret.tsv")
    (inputs / "model-without-config").mkdir()
    pickled = inputs / "pickled-model"
    pickled.mkdir()
    (pickled / "config.json").write_text('{"model_type": "bert"}')
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04.")


AT_THE_WORKER = {
    "missing file": ("recipe.data.train", "good/none.tsv", "missing-file"),
    "missing validation file": ("recipe.data.validation", "none.tsv", "missing-file"),
    "no such column": ("recipe.data.text", "text", "missing-column"),
    "empty data set": ("recipe.data.train", "bad/empty.tsv", "empty-data"),
    "ragged rows": ("recipe.data.train", "bad/ragged.tsv", "unreadable-data"),
    "no text": ("recipe.data.train", "bad/latin.tsv", "unreadable-data"),
    "a cell that is no text": ("recipe.data.train", "bad/cells.jsonl", "bad-cell"),
    "one class": ("recipe.data.train", "bad/one.tsv", "single-class"),
    "unknown label": ("recipe.data.validation", "bad/labels.tsv", "unknown-label"),
    "absolute path": ("recipe.data.train", "{outside}/secret.tsv", "path-outside-roots"),
    "link out of the roots": ("recipe.data.train", "bad/link.tsv", "path-outside-roots"),
    "model without config": ("recipe.model", "model-without-config", "bad-model"),
    "pickled model": ("recipe.model", "pickled-model", "bad-model"),
    "model outside the roots": ("recipe.model", "{outside}", "path-outside-roots"),
    "missing tokenizer": ("recipe.model.tokenizer", "nowhere", "missing-file"),
}
OTHER_FIELD = {
    "no such column": "recipe.data.train",
    "one class": "recipe.data.label",
}


@pytest.fixture(scope="module")
def failed(lab: Service) -> dict[str, dict[str, Any]]:
    """All those runs, posted together and waited for."""
    bad_inputs(lab.inputs)
    ids = {}
    for case, (field, value, _) in AT_THE_WORKER.items():
        body = changed(field, value.format(outside=lab.inputs.parent / "outside"))
        ids[case] = lab.submit(**body)
    return {case: lab.wait_for_end(run_id) for case, run_id in ids.items()}


@pytest.mark.parametrize("case", AT_THE_WORKER)
def test_a_run_that_cannot_work_states_what_to_correct(
    lab: Service, failed: dict[str, dict[str, Any]], case: str
) -> None:
    field, _, code = AT_THE_WORKER[case]
    run = failed[case]
    assert run["status"] == "failed"
    reason = run["status_reason"]
    assert (reason["code"], reason["field"]) == (code, OTHER_FIELD.get(case, field)), reason
    assert reason["message"]
    assert "Traceback" not in lab.log_text(UUID(run["id"]))
    assert [attempt["status"] for attempt in run["attempts"]] == ["failed"]  # never repeated
    assert lab.price_tag(UUID(run["id"]))["it_energy_kwh"]["value"] > 0  # rejected, not free


def test_a_command_waits_for_a_worker_that_allows_it(lab: Service, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    stages = [{"kind": "command", "argv": ["touch", str(mark)]}]
    run_id = lab.submit(recipe={"stages": stages}, resources={"pool": "closed"})

    def reason(code: str) -> bool:
        wait = lab.run(run_id)["waiting"]
        return wait is not None and wait["code"] == code

    wait_until(lambda: reason("no-worker-allows-commands"), "the reason, once the worker is live")
    assert lab.run(run_id)["status"] == "queued"
    # Queue entries of the version before are with those of all other runs.
    url = embedded_postgres.Cluster(lab.data_dir).url()
    as_before = (
        "UPDATE procrastinate_jobs SET queue_name = 'closed/0gpu' WHERE args->>'run_id' = %s"
    )
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute(as_before, [str(run_id)])

        def queue() -> str:
            query = "SELECT queue_name FROM procrastinate_jobs WHERE args->>'run_id' = %s"
            return str(connection.execute(query, [str(run_id)]).fetchone())

        wait_until(lambda: "closed+commands/0gpu" in queue(), "the run's entry is put right")
    assert lab.run(run_id)["attempts"] == []
    worker = lab.start_worker(
        *("--gpus", "none", "--pool", "closed", "--name", "open", "--allow-commands"),
        log="worker-open",
    )
    assert lab.wait_for_end(run_id)["status"] == "succeeded"
    assert mark.exists()
    worker.terminate()
    worker.wait(120)
    later = lab.submit(recipe={"stages": stages}, resources={"pool": "closed"})
    assert lab.run(later)["waiting"]["code"] == "no-worker-allows-commands"
    assert lab.http.post(f"/v1/runs/{later}/cancel").json()["status"] == "cancelled"


def test_a_missing_command_is_an_error(lab: Service) -> None:
    stages = [{"kind": "command", "argv": ["no-such-program"]}]
    reason = lab.wait_for_end(lab.submit(recipe={"stages": stages}))["status_reason"]
    assert (reason["code"], reason["field"]) == ("command-not-found", "recipe.stages.0.argv.0")


# ---- The command line: one line on stderr, an exit code, nothing else.


def submit(
    lab: Service, folder: Path, content: str | bytes, *options: str, token: str | None = None
) -> tuple[int, str, str]:
    file = folder / "job.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    secret = token or lab.http.headers["Authorization"].removeprefix("Bearer ")
    done = lab.cli("submit", str(file), *options, environment={"PRICETAG_TOKEN": secret})
    return done.returncode, done.stdout, done.stderr


def one_line(stderr: str) -> str:
    [line] = stderr.splitlines()
    assert line.startswith("pricetag: ")
    return line


@pytest.mark.parametrize(
    "case", ["unknown kind", "text for a number", "climbs out of the roots", "unknown field"]
)
def test_submit_names_an_invalid_field(lab: Service, tmp_path: Path, case: str) -> None:
    field, value = FIELDS[case]
    code, out, err = submit(lab, tmp_path, json.dumps(changed(field, value)))
    assert (code, out) == (2, "")
    assert field in one_line(err)


def test_submit_rejects_files_that_it_cannot_send(lab: Service, tmp_path: Path) -> None:
    code, out, err = submit(lab, tmp_path, "project: a\nrecipe: [unclosed\n")
    assert (code, out) == (2, "")
    assert "line 3" in one_line(err)
    code, out, err = submit(lab, tmp_path, b"\xff\xfe\x00")
    assert (code, out) == (2, "")
    assert "UTF-8" in one_line(err)
    code, out, err = submit(lab, tmp_path, json.dumps(BODY | {"name": "x" * 2_000_000}))
    assert (code, out) == (2, "")
    assert "1000000 bytes" in one_line(err)
    missing = lab.cli("submit", str(tmp_path / "none.yaml"))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none.yaml" in one_line(missing.stderr)


def test_submit_with_an_insufficient_token_is_an_error(lab: Service, tmp_path: Path) -> None:
    for token, what in (("pt_wrong", "unknown"), (lab.new_token("viewer"), "member")):
        code, out, err = submit(lab, tmp_path, json.dumps(BODY), token=token)
        assert (code, out) == (1, "")
        assert what in one_line(err)


def test_waiting_for_a_failing_run_exits_with_an_error(lab: Service, tmp_path: Path) -> None:
    body = changed("recipe.data.train", "good/none.tsv")
    code, out, err = submit(lab, tmp_path, json.dumps(body), "--wait")
    assert code == 3
    line = one_line(err)
    assert "recipe.data.train" in line
    assert "good/none.tsv" in line
    assert "failed" in out
    code, out, err = submit(lab, tmp_path, json.dumps(body), "--wait", "--json")
    assert (code, json.loads(out)["run"]["status_reason"]["code"]) == (3, "missing-file")
    assert "recipe.data.train" in one_line(err)


def test_canceling_a_finished_run_is_an_error(lab: Service) -> None:
    argv = {"kind": "command", "argv": ["true"]}
    run_id = lab.submit(project="over", recipe={"stages": [argv]})
    lab.wait_for_end(run_id)
    secret = lab.http.headers["Authorization"].removeprefix("Bearer ")
    done = lab.cli("cancel", str(run_id), environment={"PRICETAG_TOKEN": secret})
    assert (done.returncode, done.stdout) == (1, "")
    assert "succeeded" in one_line(done.stderr)


# ---- Idempotency.


def test_the_same_key_and_body_post_one_run(lab: Service) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"project": "keys", **{k: v for k, v in BODY.items() if k != "project"}}
    first = lab.http.post("/v1/runs", json=body, headers=key)
    again = lab.http.post("/v1/runs", json=dict(reversed(body.items())), headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    other = lab.http.post("/v1/runs", json=body | {"name": "other"}, headers=key)
    refused(other, 409, "idempotency-key-reused", "Idempotency-Key")
    assert len(lab.items("/v1/runs", project="keys")) == 1
    # A key is of its token: somebody else's is another.
    theirs = {**key, "Authorization": f"Bearer {lab.new_token('admin')}"}
    theirs_id = lab.http.post("/v1/runs", json=body, headers=theirs).json()["id"]
    assert theirs_id != first.json()["id"]


def test_posts_at_the_same_time_with_one_key_make_one_run(lab: Service) -> None:
    body = BODY | {"project": "race"}
    authorization = lab.http.headers["Authorization"]
    headers = {"Idempotency-Key": f"race-{os.getpid()}", "Authorization": authorization}
    url = f"{lab.http.base_url}/v1/runs"

    def post(_: int) -> httpx.Response:
        return httpx.post(url, json=body, headers=headers, timeout=120.0)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert [response.status_code for response in answers] == [202] * 8
    assert len({response.json()["id"] for response in answers}) == 1
    [run] = lab.items("/v1/runs", project="race")
    assert len(lab.wait_for_end(UUID(run["id"]))["attempts"]) == 1
