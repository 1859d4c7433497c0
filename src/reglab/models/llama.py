"""Decoder-only Transformer: Llama of the transformers library with random weights."""

from typing import TYPE_CHECKING, ClassVar

from reglab.models import layers
from reglab.models._decoder import return_logits
from reglab.schema.constraints import DEEPEST, POSITIVE, Boolean, Constraints, Integer
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import TOKENS

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


class Llama:
    """Create a ``transformers.LlamaForCausalLM`` with random weights, without downloads.

    Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models": RMSNorm before each block, rotary
    positions, SwiGLU; grouped-query attention as in Llama 2 and 3. It has no dropout; regularizers add it.

    Args:
        input_shape: (length,) of a window; because positions are rotary, longer texts are supported too.
        outputs: number of tokens in the vocabulary.
        hidden_size: width of the residual stream.
        layers: number of decoder blocks.
        heads: number of attention heads; divides `hidden_size`.
        key_value_heads: number of key and value heads; divides `heads`.
        intermediate_size: units of the feed-forward layers.
        activation: activation of their gate; SwiGLU for ``silu``.
        tie_embeddings: whether the output layer shares the weights of the embedding.
        rope_theta: base of the rotary positions.

    Raises:
        ConfigError: sizes are not multiples as required, or the library does not have the activation.
    """

    requires_task: ClassVar = (TOKENS,)
    input_dims: ClassVar = (1,)
    provides: ClassVar = {"activations": "layers", "blocks": "layers", "embeddings": "hidden_size"}
    constraints: ClassVar[Constraints] = {
        **{key: Integer(1) for key in ("hidden_size", "heads", "key_value_heads", "intermediate_size")},
        "layers": Integer(1, DEEPEST),
        "activation": layers.ACTIVATION,
        "tie_embeddings": Boolean(),
        "rope_theta": POSITIVE,
    }

    def __new__(  # type: ignore[misc]
        cls,
        input_shape: tuple[int, ...],
        outputs: int,
        hidden_size: int = 128,
        layers: int = 4,
        heads: int = 4,
        key_value_heads: int = 2,
        intermediate_size: int = 344,
        activation: str = "silu",
        tie_embeddings: bool = False,
        rope_theta: float = 10000.0,
    ) -> "LlamaForCausalLM":
        from transformers import LlamaConfig, LlamaForCausalLM
        from transformers.activations import ACT2FN

        if hidden_size % (2 * heads):
            raise ConfigError(
                Setting("model.heads", heads),
                f"model.hidden_size={hidden_size} must be an even number of units for each head",
            )
        if heads % key_value_heads:
            raise ConfigError(
                Setting("model.key_value_heads", key_value_heads), f"model.heads={heads} must be a multiple of it"
            )
        if activation not in ACT2FN:
            raise ConfigError(
                Setting("model.activation", activation), "not available for Llama", "choose silu, gelu or relu"
            )
        config = LlamaConfig(
            vocab_size=outputs,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=key_value_heads,
            intermediate_size=intermediate_size,
            hidden_act=activation,
            max_position_embeddings=input_shape[0],
            tie_word_embeddings=tie_embeddings,
            rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
            use_cache=False,  # the cache of keys and values is not used in training
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
        return return_logits(LlamaForCausalLM(config))
