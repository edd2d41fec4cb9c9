"""Which variables of the worker its jobs see."""

from __future__ import annotations

import pytest

from workers.attempt.job_variables import check_names, passed_on, recorded

LEAKS = [
    *("ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_CPU"),
    *("FSDP_VERSION", "DEEPSPEED_ZERO_STAGE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("NVIDIA_TF32_OVERRIDE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE"),
    *("MV2_COMM_WORLD_SIZE", "MPI_LOCALRANKID", "SLURM_NTASKS", "SLURM_PROCID", "RANK"),
    *("WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID", "PYTHONPATH", "PYTHONHOME"),
    *("PYTHONSTARTUP", "LD_PRELOAD", "WANDB_API_KEY", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"),
    *("AWS_SECRET_ACCESS_KEY", "PRICETAG_DATABASE_URL", "PGPASSWORD", "CUDA_VISIBLE_DEVICES"),
    "A_VARIABLE_THAT_IS_NEW_NEXT_YEAR",
]
KEPT = [
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "https_proxy"),
    *("NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HF_HOME", "HF_HUB_OFFLINE"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NCCL_SOCKET_IFNAME"),
]


@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("name", LEAKS)
def test_a_variable_that_is_not_allowed_stays_with_the_worker(name: str, trains: bool) -> None:
    assert passed_on({name: "1"}, (), trains=trains) == {}


@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("name", KEPT)
def test_variables_that_every_program_needs_are_passed_on(name: str, trains: bool) -> None:
    assert passed_on({name: "x"}, (), trains=trains) == {name: "x"}


def test_the_hubs_token_goes_to_training_jobs_alone() -> None:
    assert passed_on({"HF_TOKEN": "t"}, (), trains=True) == {"HF_TOKEN": "t"}
    assert passed_on({"HF_TOKEN": "t"}, (), trains=False) == {}
    assert passed_on({"HF_TOKEN": "t"}, ["HF_TOKEN"], trains=False) == {"HF_TOKEN": "t"}


@pytest.mark.parametrize(
    "name", ["PYTHONPATH", "ACCELERATE_MIXED_PRECISION", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"]
)
def test_variables_that_change_training_are_added_only_for_commands(name: str) -> None:
    environ = {name: "x", "MY_SETTING": "y"}
    added = check_names([name, "MY_SETTING"])
    assert passed_on(environ, added, trains=False) == environ
    assert passed_on(environ, added, trains=True) == {"MY_SETTING": "y"}


@pytest.mark.parametrize(
    "name",
    ["PRICETAG_DATABASE_URL", "CUDA_VISIBLE_DEVICES", "RANK", "PMI_RANK", "A=B", "", "1A", "MY-X"],
)
def test_names_that_cannot_be_added_are_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"variable|set by the worker"):
        check_names([name])


def test_the_record_has_names_and_values_but_no_secret() -> None:
    variables = {
        "WANDB_API_KEY": "abc",
        "HF_TOKEN": "hf_1",
        "db_password": "p",
        "MY_SECRET": "s",
        "HTTPS_PROXY": "http://user:pass@proxy:3128",
        "LANG": "de_DE.UTF-8",
        "ODD": "caf\udce9",  # a byte that is not UTF-8, as os.environ shows it
    }
    shown = recorded(variables)
    assert list(shown) == sorted(variables)
    assert shown["LANG"] == "de_DE.UTF-8"
    assert shown["HTTPS_PROXY"] == "http://***@proxy:3128"
    assert {shown[name] for name in ("WANDB_API_KEY", "HF_TOKEN", "db_password", "MY_SECRET")} == {
        "***"
    }
    assert shown["ODD"].encode() == b"caf?"
