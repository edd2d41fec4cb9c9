"""Quotes of posted runs: from similar runs, from operations, unknown; scored when they end."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import pytest

from app.api.v1.examples import PIPELINE_RUN, QUOTE
from app.services.billing import issuing
from app.services.quoting import history, scoring
from app.services.quoting.likeness import former_likeness
from models import Node, Outcome, Run
from pricetag.accounting.forecast.from_flops import training_flops_closed_form
from pricetag.accounting.work.flops import EncoderShape
from pricetag.recipes import parse_recipe
from tests.support.api import COMMAND, Api, fields, finished_run, problem, run_body
from tests.support.quoted import trained, training

WHOLE_S = 48.0
WHOLE_KWH = 150.0 * WHOLE_S / 3.6e6


async def quote_of(api: Api, run_id: str) -> dict[str, Any]:
    response = await api.viewer.get(f"/v1/runs/{run_id}/quote")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def ask(api: Api, **changes: Any) -> dict[str, Any]:
    response = await api.viewer.post("/v1/quotes", json={"run": run_body(**changes)})
    assert response.status_code == 200, response.text
    return dict(response.json())


def figure(quote: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(quote["quantities"][name])


async def test_without_history_a_quote_is_unknown_and_says_why(api: Api) -> None:
    quote = await quote_of(api, await api.post_run())
    assert (quote["method"], quote["level"], quote["runs"]) == ("unknown", None, [])
    for name in ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg"):
        unknown = figure(quote, name)
        assert unknown["value"] is unknown["low"] is unknown["source"] is None
        assert "no similar run has succeeded in pool 'default' yet" in unknown["reason"]
    assert "a program's operations are not counted" in quote["text"]


async def test_the_same_recipe_is_quoted_from_its_runs(api: Api) -> None:
    first = await trained(api, name="first")
    again = training(seed=7, name="another name")
    quote = await quote_of(api, await api.post_run(recipe=again, name="second"))
    assert (quote["method"], quote["level"]) == ("history", "same-recipe")
    assert (quote["runs"], quote["run_count"], quote["work_ratio"]) == ([first], 1, 1.0)
    assert quote["text"] == "1 run of the same recipe in pool 'default'"
    assert figure(quote, "duration_s")["value"] == pytest.approx(WHOLE_S)
    energy = figure(quote, "it_energy_kwh")
    assert energy["value"] == pytest.approx(WHOLE_KWH)
    assert energy["low"] < WHOLE_KWH < energy["high"]
    assert energy["source"] == "estimated"
    # The factors are those of a price tag: PUE 1.54 and the world's mean, assumed.
    tag = (await api.viewer.get(f"/v1/runs/{first}/price-tag")).json()
    assert figure(quote, "facility_energy_kwh")["value"] == pytest.approx(
        tag["facility_energy_kwh"]["value"]
    )
    assert figure(quote, "co2e_kg")["value"] == pytest.approx(tag["co2e_kg"]["value"])
    assert {factor["name"] for factor in quote["factors"]} >= {"pue", "carbon_intensity"}


async def test_a_private_run_is_the_basis_of_quotes_in_its_own_project_alone(api: Api) -> None:
    """From a quote with one run behind it, that run's figures could be read."""
    await trained(api, project="secret")
    shape = training(seed=7)  # the same recipe
    for hidden in (False, True):
        if hidden:
            private = {"visibility": "private"}
            assert (await api.admin.patch("/v1/projects/secret", json=private)).is_success
        for project in ("text", "secret"):
            quote = await ask(api, recipe=shape, project=project)  # by somebody outside
            assert (quote["run_count"], quote["method"] == "history") == (
                (0, False) if hidden else (1, True)
            )
            assert hidden == (figure(quote, "it_energy_kwh")["value"] is None)
    posted = await quote_of(api, await api.post_run(recipe=shape, project="text"))
    assert posted["run_count"] == 0
    body = {"run": run_body(recipe=shape, project="secret")}
    own = (await api.member.post("/v1/quotes", json=body)).json()
    assert (own["run_count"], own["method"]) == (1, "history")


async def test_more_runs_narrow_the_interval(api: Api) -> None:
    widths = []
    for number in range(3):
        await trained(api, name=f"run {number}")
        energy = figure(await ask(api, recipe=training()), "it_energy_kwh")
        widths.append(math.log(energy["high"] / energy["low"]))
    assert widths[0] > widths[1] > widths[2]


async def test_other_epochs_are_scaled_by_the_training_alone(api: Api) -> None:
    await trained(api, train_s=40.0)
    quote = await ask(api, recipe=training(epochs=6.0, learning_rate=1e-3))
    assert (quote["method"], quote["level"]) == ("history", "same-shape")
    # Start, evaluation and end cost what they cost; the training takes three times its time.
    assert figure(quote, "duration_s")["value"] == pytest.approx(WHOLE_S + 2 * 40.0)
    expected_kwh = 150.0 * (WHOLE_S + 80.0) / 3.6e6
    assert figure(quote, "it_energy_kwh")["value"] == pytest.approx(expected_kwh)
    assert quote["work_ratio"] == pytest.approx((WHOLE_S + 80.0) / WHOLE_S)


async def test_steps_and_epochs_are_compared_by_examples(api: Api) -> None:
    # 200 steps of 8 examples were 2 epochs: 800 examples; 400 steps of 4 are 2 epochs, too.
    await trained(api, steps=200, epochs=2.0)
    quote = await ask(api, recipe=training(epochs=None, max_steps=400, batch_size=4))
    assert quote["level"] == "same-shape"
    assert figure(quote, "duration_s")["value"] == pytest.approx(WHOLE_S)


async def test_the_loosest_likeness_is_the_same_stages_on_the_same_data(api: Api) -> None:
    await trained(api)
    quote = await ask(api, recipe=training(max_length=64))
    assert (quote["level"], quote["run_count"]) == ("same-stages", 1)
    strict = figure(await ask(api, recipe=training()), "it_energy_kwh")
    loose = figure(quote, "it_energy_kwh")
    assert loose["high"] / loose["low"] > strict["high"] / strict["low"]


async def test_another_pool_is_quoted_by_operations(api: Api) -> None:
    other = training(max_length=64, epochs=1.0)
    other["model"] = {"config": {"hidden_size": 64, "num_attention_heads": 2}}
    await trained(api, other, resources={"pool": "elsewhere"}, flops=2e12, epochs=1.0)
    await trained(api, flops=1e12)  # here, as another pool knows it
    quote = await ask(api, recipe=training(), resources={"pool": "elsewhere"})
    assert (quote["method"], quote["level"]) == ("flops", None)
    # The other model took WHOLE_S for 2e12 operations, this one has half of them.
    assert figure(quote, "duration_s")["value"] == pytest.approx(WHOLE_S / 2)
    assert figure(quote, "it_energy_kwh")["value"] == pytest.approx(WHOLE_KWH / 2)
    assert "of 1 run in this pool" in quote["text"]
    assert "1e+12 FLOP, 1 run of the same recipe" in quote["notes"][0]


async def test_new_accelerators_are_quoted_by_their_peak_with_a_wide_interval(api: Api) -> None:
    await trained(api, flops=1e18)
    async with api.database.session_scope() as session:
        device = {"uuid": "GPU-1", "name": "NVIDIA H200", "power_limit_w": 700.0}
        session.add(Node(name="n", pool="gpus", devices=[device], capabilities={}))
    quote = await ask(api, recipe=training(), resources={"pool": "gpus", "gpus": 1})
    assert quote["method"] == "flops"
    time = figure(quote, "duration_s")
    # 1e18 operations at 2% to 60% of 989 TFLOP/s.
    assert time["low"] == pytest.approx(1e18 / (0.6 * 989e12), rel=0.1)
    assert time["high"] == pytest.approx(1e18 / (0.02 * 989e12), rel=0.1)
    energy = figure(quote, "it_energy_kwh")
    assert energy["value"] == pytest.approx(time["value"] * 700 * math.sqrt(0.3) / 3.6e6)
    assert "no host" in quote["text"]
    unknown = await ask(api, recipe=training(), resources={"pool": "none", "gpus": 1})
    assert unknown["method"] == "unknown"
    assert "its nodes are unknown" in unknown["text"]


async def test_the_closed_form_is_used_for_a_model_without_runs(api: Api) -> None:
    other = training(max_steps=10, epochs=None)
    await trained(api, other, flops=1e12, steps=10, epochs=0.1)
    wanted = training(max_steps=20, epochs=None, max_length=64)
    wanted["model"] = {"config": {"hidden_size": 64, "num_attention_heads": 2}}
    wanted["data"] = {"train": "new/train.tsv", "validation": "new/dev.tsv"}
    quote = await ask(api, recipe=wanted)
    assert quote["method"] == "flops"
    assert "closed form" in quote["notes"][0]
    assert quote["notes"][1] == "excluding stages without counted operations: evaluate"
    by_epochs = training(epochs=1.0)
    by_epochs["data"], by_epochs["model"] = wanted["data"], wanted["model"]
    unknown = await ask(api, recipe=by_epochs)
    assert unknown["method"] == "unknown"
    assert "the number of examples" in unknown["text"]


async def test_the_closed_form_includes_a_network_that_is_trained_beside_the_model(
    api: Api,
) -> None:
    await trained(api, training(max_steps=10, epochs=None), flops=1e12, steps=10, epochs=0.1)
    quotes = []
    for stage in ({"method": "masked_lm"}, {"method": "electra", "generator_layers": 0.5}):
        described = {
            "task": "masked_lm",
            "data": {"train": "new/train.txt", "validation": "new/dev.txt"},
            "model": {"config": {"hidden_size": 64, "num_attention_heads": 2}},
            "stages": [{"kind": "pretrain", **stage, "max_steps": 20, "evaluate": False}],
        }
        quotes.append(await ask(api, recipe=described))
    alone, with_generator = (figure(quote, "duration_s")["value"] for quote in quotes)
    config = parse_recipe(described).model.config  # type: ignore[union-attr]
    layers, inner = config.num_hidden_layers, config.intermediate_size
    shapes = EncoderShape(layers, 64, inner, 64), EncoderShape(layers // 2, 16, inner // 4, 16)
    model, generator = (
        training_flops_closed_form(shape, examples=640, max_length=128).value for shape in shapes
    )
    assert with_generator / alone == pytest.approx(1 + generator / model)


async def test_runs_of_a_script_are_similar_whatever_its_arguments(api: Api) -> None:
    def command(*argv: str) -> dict[str, Any]:
        return {"stages": [{"kind": "command", "code": "mine", "argv": ["python", *argv]}]}

    await finished(api, command("train.py", "--lr", "1"))
    assert (await ask(api, recipe=command("train.py", "--lr", "1")))["level"] == "same-recipe"
    assert (await ask(api, recipe=command("train.py", "--lr", "2")))["level"] == "same-script"
    assert (await ask(api, recipe=command("other.py", "--lr", "1")))["method"] == "unknown"
    await finished(api, command("-c", "print(1)"))
    assert (await ask(api, recipe=command("-c", "print(2)")))["method"] == "unknown"


async def finished(api: Api, recipe: dict[str, Any]) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session, recipe=recipe, kind="command")


async def test_a_quote_is_scored_when_the_run_has_ended(api: Api) -> None:
    await trained(api, train_s=40.0)
    second = await trained(api, train_s=44.0)
    quote = await quote_of(api, second)
    hit = quote["score"]["quantities"]["duration_s"]
    assert hit["quoted"] == pytest.approx(WHOLE_S)
    assert hit["actual"] == pytest.approx(WHOLE_S + 4.0)
    assert hit["log_error"] == pytest.approx(math.log((WHOLE_S + 4) / WHOLE_S))
    assert hit["inside"] is True
    assert quote["score"]["quantities"]["cost"] is None  # no tariff: both are unknown
    assert quote["projection"] is None
    # Far beyond the interval.
    await trained(api, train_s=400.0)
    score = (await api.viewer.get("/v1/quotes/score")).json()
    assert (score["runs"], score["unquoted"]) == (3, 1)
    (time,) = [group for group in score["groups"] if group["quantity"] == "duration_s"]
    assert (time["method"], time["level"], time["pool"]) == ("history", "same-recipe", "default")
    assert (time["count"], time["inside_ratio"]) == (2, 0.5)
    assert time["bias_factor"] > 1


async def test_a_failed_run_is_neither_history_nor_scored(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)  # recipes without a posted quote
    run_id = await api.post_run(recipe=training())
    cancelled = await api.member.post(f"/v1/runs/{run_id}/cancel")
    assert cancelled.status_code == 202
    assert (await quote_of(api, run_id))["score"] is None
    score = (await api.viewer.get("/v1/quotes/score")).json()
    assert score == {"runs": 0, "unquoted": 0, "groups": []}
    assert (await ask(api, recipe=training()))["method"] == "unknown"


async def test_an_error_in_the_estimator_rejects_no_run_and_loses_no_price_tag(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(history, "find", broken)
    monkeypatch.setattr(scoring, "likeness", broken)
    run_id = await trained(api)
    quote = await quote_of(api, run_id)
    assert (quote["method"], quote["text"]) == ("unknown", "the estimator failed (KeyError)")
    assert (await api.viewer.get(f"/v1/runs/{run_id}/price-tag")).status_code == 200
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert ["the estimator failed" in text or "could not be scored" in text for text in errors] == [
        True,
        True,
    ]


async def test_a_query_that_fails_leaves_the_run_s_transaction_whole(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import text

    async def broken(session: Any, *_: object, **__: object) -> None:
        await session.execute(text("SELECT 1/0"))

    monkeypatch.setattr(history, "find", broken)
    assert (await quote_of(api, await api.post_run()))["method"] == "unknown"


async def test_a_quote_books_nothing(api: Api) -> None:
    await ask(api, **PIPELINE_RUN)
    assert (await api.viewer.get("/v1/runs")).json()["items"] == []
    assert (await api.viewer.get("/v1/projects")).json()["items"] == []


async def test_both_forms_of_a_request_name_the_invalid_field(api: Api) -> None:
    plain = await api.viewer.post("/v1/quotes", json=QUOTE)
    assert plain.json()["it_energy_kwh"] == pytest.approx(201.6)
    wrong = run_body(recipe={"stages": [{"kind": "trian"}]})
    refused = problem(
        await api.viewer.post("/v1/quotes", json={"run": wrong}), 422, "invalid-recipe"
    )
    assert fields(refused) == ["run.recipe.stages.0.kind"]
    both = await api.viewer.post("/v1/quotes", json={"run": run_body(), "devices": 1})
    assert fields(problem(both, 422, "invalid-quote")) == ["devices"]
    empty = await api.viewer.post("/v1/quotes", json={"run": None})
    assert problem(empty, 422, "invalid-recipe")["errors"][0]["field"] == "run"


async def test_a_run_from_before_quotes_has_no_quote(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    problem(await api.viewer.get(f"/v1/runs/{run_id}/quote"), 404, "quote-not-found")
    missing = "/v1/runs/6f0c0d0e-0000-4000-8000-000000000000/quote"
    problem(await api.viewer.get(missing), 404, "run-not-found")


async def test_operations_reported_by_a_script_are_not_used_for_other_runs(api: Api) -> None:
    async with api.database.session_scope() as session:
        script = await finished_run(session, recipe=COMMAND, kind="command")
        kept = await session.get_one(Outcome, script)
        tag = await issuing.get_price_tag(session, script)
    assert tag.content["flops"]["dense"]["value"] == 1e12
    assert kept.flops is None


async def test_a_run_with_nothing_reserved_is_not_used_for_other_quotes(api: Api) -> None:
    """Its idle energy is on the bill of the job beside it."""
    run_id = UUID(await trained(api, training()))
    async with api.database.session_scope() as session:
        tag = await issuing.get_price_tag(session, run_id)
        run = await session.get_one(Run, run_id)
        await session.delete(await session.get_one(Outcome, run_id))
        await session.flush()
        session.expunge(tag)  # issued ones cannot be changed
        for flags, is_kept in ((["nothing_reserved"], False), ([], True)):
            tag.content = {**tag.content, "flags": flags}
            await scoring.record(session, run, tag)
            assert (await session.get(Outcome, run_id) is not None) == is_kept


async def test_a_file_that_no_stage_reads_hides_no_earlier_run(api: Api) -> None:
    recipe = training(evaluate=False)
    more = {**recipe, "data": {**recipe["data"], "test": "unread.tsv"}}
    first = await trained(api, more)
    for asked in (recipe, more):
        quote = await ask(api, recipe=asked)
        assert (quote["method"], quote["level"], quote["runs"]) == (
            "history",
            "same-recipe",
            [first],
        )


async def test_runs_with_the_fingerprints_of_earlier_versions_are_used(api: Api) -> None:
    recipe = training(evaluate=False)
    more = {**recipe, "data": {**recipe["data"], "test": "unread.tsv"}}
    first = await trained(api, more)
    async with api.database.session_scope() as session:
        run = await session.get_one(Run, UUID(first))
        outcome = await session.get_one(Outcome, UUID(first))
        former = former_likeness(run.recipe)
        assert former is not None
        outcome.recipe_sha256 = former.recipe_sha256
        outcome.shape_sha256 = former.shape_sha256
        outcome.family_sha256 = former.family_sha256
    assert (await ask(api, recipe=more))["runs"] == [first]
    assert (await ask(api, recipe=recipe))["method"] != "history"
