"""Values of trials in their jobs."""

from __future__ import annotations

from pricetag.studies.space import with_value


def test_a_number_becomes_a_text_where_the_job_has_one() -> None:
    job = {"argv": ["run", "0.1"], "env": {"LR": "1"}, "epochs": 1}
    assert with_value(job, "argv.1", 0.25)["argv"] == ["run", "0.25"]
    assert with_value(job, "env.LR", 3)["env"] == {"LR": "3"}
    assert with_value(job, "epochs", 3)["epochs"] == 3
