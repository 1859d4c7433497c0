"""Pretrained decoders from a folder or the cache of the Hugging Face Hub."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from reglab import hub_cache
from reglab.models._decoder import return_logits
from reglab.schema.constraints import Constraints, Described, Nullable, OneOf
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import TOKENS
from reglab.schema.text import first_line
from reglab.schema.text_constraints import KeysWithValues, Text

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class HFCausalLM:
    """Load a causal language model of the transformers library, without downloads and without pickle.

    With `lora` the weights of the model are frozen and low-rank adapters are trained (Hu et al. 2022, "LoRA:
    Low-Rank Adaptation of Large Language Models").

    Args:
        input_shape: (length,) of a window.
        outputs: number of tokens in the vocabulary of the data, which must be that of the model (``data.tokenizer``).
        path: a folder with ``config.json`` and weights as safetensors, or a name that is in the cache.
        lora: arguments of peft's ``LoraConfig`` such as ``{r: 8, lora_alpha: 16}``; None: all weights are trained.
        dtype: dtype of the weights: ``float32``, or ``bfloat16`` for frozen ones.

    Raises:
        ConfigError: no such model, weights that are not safetensors, a vocabulary or a context too small for the data,
            or wrong arguments of `lora`.
    """

    requires_task: ClassVar = (TOKENS,)
    input_dims: ClassVar = (1,)
    stochastic: ClassVar = True  # a pretrained network may contain dropout
    constraints: ClassVar[Constraints] = {
        "path": Described(Text(4000), "a folder with a model, or a name in the Hugging Face cache"),
        "lora": Nullable(Described(KeysWithValues(), "arguments of peft's LoraConfig, as in {r:8}")),
        "dtype": OneOf("float32", "bfloat16"),
    }

    def __new__(  # type: ignore[misc]
        cls,
        input_shape: tuple[int, ...],
        outputs: int,
        path: str | None = None,
        lora: Mapping[str, Any] | None = None,
        dtype: str = "float32",
    ) -> "PreTrainedModel":
        if dtype != "float32" and lora is None:
            raise ConfigError(
                Setting("model.dtype", dtype),
                "rounds away small updates (8 significant bits)",
                "set float32, or train adapters with model.lora={r:8}",
            )
        model = _load_pretrained(path, dtype)
        vocabulary_size = model.get_input_embeddings().weight.shape[0]
        if vocabulary_size < outputs:
            raise ConfigError(
                Setting("model.path", path),
                f"has {vocabulary_size} tokens, and the tokenizer of the data has {outputs}",
                f"set data.tokenizer={path}",
            )
        max_length = getattr(model.config, "max_position_embeddings", None)
        if max_length is not None and max_length < input_shape[0]:
            raise ConfigError(
                Setting("data.context_length", input_shape[0]),
                f"the context of the model has at most {max_length} tokens (model.path={path})",
                "lower it",
            )
        model.config.use_cache = False  # the cache of keys and values is not used in training
        if lora is not None:
            _add_adapters(model, lora)
        model.train()  # from_pretrained returns a model in eval mode
        return return_logits(model)


def _load_pretrained(path: str | None, dtype: str) -> Any:
    """Return the model of a folder or of the cache, with weights of a dtype."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    if not path:
        raise ConfigError(
            Setting("model.path", None), "give a folder with a model, or a name in the Hugging Face cache"
        )
    local = hub_cache.find_local(path)
    if local is None:
        remedy = "check the path"
        if not hub_cache.is_local_path(path):
            remedy = f"give a folder, or fetch the model of that name first: hf download {path}"
        raise ConfigError(Setting("model.path", path), "no such folder, nor a model in the Hugging Face cache", remedy)
    logging.disable_progress_bar()
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(local), dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise ConfigError(
            Setting("model.path", path),
            f"no causal language model can be loaded from it ({reason})",
            "give a folder with config.json and model.safetensors",
        ) from error


def _add_adapters(model: Any, lora: Mapping[str, Any]) -> None:
    """Add low-rank adapters in float32, and freeze all other weights."""
    from peft import LoraConfig, inject_adapter_in_model

    try:
        inject_adapter_in_model(LoraConfig(task_type="CAUSAL_LM", **lora), model)
    except (TypeError, ValueError) as error:
        reason = first_line(error)
        raise ConfigError("model.lora", reason, "give arguments of peft's LoraConfig, as in {r:8}") from error
    for weight in model.parameters():
        if weight.requires_grad:  # adapters are float32 also beside bfloat16 weights
            weight.data = weight.data.float()
