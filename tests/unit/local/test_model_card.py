"""Emissions of a local price tag in the metadata of a model card of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from pricetag.integrations.hugging_face import co2_eq_emissions
from pricetag.tag.model_card import UnknownEmissionsError
from tests.support.local_runs import plant, records


def test_emissions_are_in_grams_with_interval_place_and_hardware(tmp_path: Path) -> None:
    tag: Any = plant(tmp_path).price_tag
    fields = co2_eq_emissions(tag, training_type="fine-tuning", geographical_location="Berlin")
    # 40 W for 10 s, PUE 1.25, 100 g/kWh
    assert fields.pop("emissions") == pytest.approx(40 * 10 / 3.6e6 * 1.25 * 100, rel=1e-9)
    assert fields.pop("source").startswith("Pricetag: 13.9 mg (")
    assert fields == {
        "training_type": "fine-tuning",
        "geographical_location": "Berlin",
        "hardware_used": "Test CPU",
    }
    card = ModelCard.from_template(ModelCardData(co2_eq_emissions=co2_eq_emissions(tag)))
    metadata = yaml.safe_load(str(card).split("---")[1])
    assert metadata["co2_eq_emissions"] == co2_eq_emissions(tag)


def test_the_place_is_the_zone_of_the_price_tag_but_never_the_world(tmp_path: Path) -> None:
    for zone, place in (("DE", "DEU"), (None, None)):
        start, *others = records()
        factors = {"pue": 1.25, "grid_zone": zone, "site": "default", "currency": "USD"}
        tag = plant(tmp_path / str(zone), [start | {"factors": factors}, *others]).price_tag
        assert tag is not None
        assert co2_eq_emissions(tag).get("geographical_location") == place


def test_unknown_emissions_are_not_zero(tmp_path: Path) -> None:
    tag: Any = plant(tmp_path).price_tag
    nothing = {"value": None, "low": None, "high": None, "source": None, "reason": "no meter"}
    with pytest.raises(UnknownEmissionsError, match="the emissions are unknown: no meter"):
        co2_eq_emissions(tag | {"co2e_kg": tag["co2e_kg"] | nothing})


def test_without_a_price_tag_the_error_says_why() -> None:
    with pytest.raises(UnknownEmissionsError, match="inside a run that is metered already"):
        co2_eq_emissions(None)
