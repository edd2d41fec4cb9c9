"""The allow-list of the worker's environment variables that its jobs see.

All others stay with the worker. An unforeseen variable could change what is trained
(``ACCELERATE_MIXED_PRECISION``), which library is imported (``PYTHONPATH``) or how many
processes a job assumes (``PMI_SIZE``), without a trace in the run's record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pricetag.metering.devices import VARIABLES as DEVICE_VARIABLES
from pricetag.script import RANK_VARIABLES

SYSTEM = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"}
    | {"LD_LIBRARY_PATH", "XDG_CACHE_HOME", "TERM"}
)
NETWORK = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    | {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    | {"GLOO_SOCKET_IFNAME"}
)
THREADS = frozenset(
    {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"}
    | {"MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_AFFINITY", "KMP_BLOCKTIME"}
)
DEVICES = frozenset(
    {"CUDA_HOME", "CUDA_PATH", "CUDA_CACHE_PATH", "ROCM_PATH", "HIP_PATH"}
    | {"HSA_OVERRIDE_GFX_VERSION", "NVIDIA_DRIVER_CAPABILITIES"}
)
HUB = frozenset(
    {"HF_HOME", "HF_HUB_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE", "HF_DATASETS_CACHE"}
    | {"HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "TORCH_HOME"}
    | {"HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"}
    | {"HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"}
)
HUB_SECRETS = frozenset({"HF_TOKEN", "HF_TOKEN_PATH"})
"""For training jobs only: a command is a user's program, which could send the token anywhere."""
PREFIXES = ("LC_", "NCCL_")

ALLOWED = SYSTEM | NETWORK | THREADS | DEVICES | HUB

LAUNCHER = frozenset(
    {"RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
    | {"MASTER_ADDR", "MASTER_PORT", "ROLE_RANK", "ROLE_WORLD_SIZE"}
    | set(RANK_VARIABLES)
)
"""Ranks and sizes of process groups, set by a launcher that started the worker."""

_NEVER_IN_TRAINING = (
    *("PYTHON", "ACCELERATE_", "FSDP_", "MEGATRON_", "DEEPSPEED_", "TORCHELASTIC_"),
    *("PMI_", "PMIX_", "OMPI_", "MV2_", "I_MPI_", "MPI_", "HYDRA_", "SLURM_", "FLUX_"),
)
"""Prefixes of variables that jobs never see, since they would change what is trained."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^/@\s]*@")
_MASK = "***"
_RECORDED_CHARS = 4096


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names that an administrator adds to the allow-list, without repetitions.

    Raises:
        ValueError: If one is not a valid name, or is set by the worker itself.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of an environment variable")
        if name.startswith("PRICETAG_") or name in DEVICE_VARIABLES | LAUNCHER:
            raise ValueError(f"{name} is set by the worker itself and cannot be passed to jobs")
    return tuple(dict.fromkeys(names))


def passed_on(environ: Mapping[str, str], added: Iterable[str], *, trains: bool) -> dict[str, str]:
    """The worker's variables that a job may see.

    Args:
        environ: The worker's environment.
        added: Additional names that the administrator allows.
        trains: Whether the job trains or measures; otherwise it is a ``command``.
    """
    extra = {name for name in added if not trains or not name.startswith(_NEVER_IN_TRAINING)}
    names = ALLOWED | extra | (HUB_SECRETS if trains else frozenset())
    return {
        name: value for name, value in environ.items() if name in names or name.startswith(PREFIXES)
    }


def recorded(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables for the run's record: sorted, secrets masked, storable as JSON."""
    return {name: _shown(name, variables[name]) for name in sorted(variables)}


def _shown(name: str, value: str) -> str:
    if _SECRET.search(name):
        return _MASK
    text = value.encode("utf-8", errors="replace").decode()  # it may contain undecodable bytes
    return _URL_USER.sub(f"{_MASK}@", text)[:_RECORDED_CHARS]
