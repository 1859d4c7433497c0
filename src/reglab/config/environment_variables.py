"""Environment variables that could change a result: refused, without effect, or recorded.

Refused: those that change numbers although the config names other settings (`check_environment`). Recorded: those that
change the last digits, as another machine would (`RECORDED`, in ``environment.json``). Without effect in a run: those
of clusters and launchers (``SLURM_*``, ``MASTER_ADDR``, ``LOCAL_RANK``, ...), because a run is one process without
Lightning's cluster plugins; threads (``OMP_NUM_THREADS``, ``MKL_NUM_THREADS``), which `trainer.threads` sets; seeds
(``PL_GLOBAL_SEED``), which the config's seeds replace.
"""

import os
from collections.abc import Mapping

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.keys import TRAINER

TRAINER_PREFIX = "PL_TRAINER_"

RECORDED = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "DISABLE_ADDMM_CUDA_LT",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "PYTHONHASHSEED",
    "PYTORCH_TUNABLEOP_ENABLED",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_CUDNN_V8_API_DISABLED",
    "TORCH_LINALG_PREFER_CUSOLVER",
)
"""Variables that choose among implementations, and so may move the last digits."""

# Variable to the values that change nothing: with others, products of float32 are computed in less precision.
_LESS_PRECISION = {
    "DNNL_DEFAULT_FPMATH_MODE": ("", "STRICT"),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("", "STRICT"),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("", "0"),
}


def check_environment(environment: Mapping[str, str] | None = None) -> None:
    """Refuse environment variables that would change a result without a change of the config.

    Args:
        environment: environment variables; None: those of the process.

    Raises:
        ConfigError: names the variable and the remedy.
    """
    variables = os.environ if environment is None else environment
    for name, value in variables.items():
        if name.startswith(TRAINER_PREFIX) and value:
            key = name.removeprefix(TRAINER_PREFIX).lower()
            instead = f", and set trainer.{key} if that is intended" if key in TRAINER else ""
            raise ConfigError(
                Setting(name, value),
                f"an environment variable from which Lightning sets trainer.{key}, bypassing the config",
                f"unset it{instead}",
            )
        if name in _LESS_PRECISION and value.upper() not in _LESS_PRECISION[name]:
            raise ConfigError(Setting(name, value), "lowers the precision of float32, bypassing the config", "unset it")
    processes = variables.get("WORLD_SIZE", "1")
    if "RANK" in variables and processes.isdecimal() and int(processes) > 1:
        raise ConfigError(
            Setting("WORLD_SIZE", processes),
            "a run trains in one process, and each of the processes would train it",
            "start it once, without torchrun (workers=N trains N runs of a sweep at once)",
        )


def recorded_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return those of `RECORDED` that are set, by name."""
    variables = os.environ if environment is None else environment
    return {name: variables[name][:200] for name in RECORDED if variables.get(name)}
