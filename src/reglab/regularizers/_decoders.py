"""Where the parts of a decoder are, by rules that hold for those of the transformers library and for others.

A part is known by the name of its class: ``LlamaAttention``, ``GPT2Attention``, ``GPTNeoXMLP``. Of parts inside one
another the outer one counts.
"""

from typing import Any

from torch import nn

from reglab.compat.torch import parameter_dict

_ATTENTION = ("Attention",)
_FEED_FORWARD = ("MLP", "FeedForward", "FFN")


def attentions(model: nn.Module) -> dict[str, nn.Module]:
    """Self-attention of every block, by name."""
    return _outermost(model, _ATTENTION)


def feed_forwards(model: nn.Module) -> dict[str, nn.Module]:
    """The feed-forward layers of every block, by name."""
    return _outermost(model, _FEED_FORWARD)


def last_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Of every block's feed-forward layers the last one with a weight matrix, by name: its inputs are hidden units."""
    found = {}
    for name, block in feed_forwards(model).items():
        layers = [(f"{name}.{inner}", layer) for inner, layer in block.named_modules() if _has_matrix(layer)]
        if len(layers) > 1:
            found[layers[-1][0]] = layers[-1][1]
    return found


def embeddings(model: nn.Module) -> dict[str, nn.Module]:
    """The embedding of tokens, by name: what the model itself says it is, else its first embedding."""
    own: Any = getattr(model, "get_input_embeddings", None)
    said = own() if callable(own) else None
    modules: list[tuple[str, nn.Module]] = list(model.named_modules())
    found = (pair for pair in modules if pair[1] is said or (said is None and isinstance(pair[1], nn.Embedding)))
    return dict(list(found)[:1])


def _outermost(model: nn.Module, endings: tuple[str, ...]) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if type(module).__name__.endswith(endings) and module is not model and not inside:
            found[name] = module
    return found


def _has_matrix(layer: nn.Module) -> bool:
    weight = parameter_dict(layer).get("weight")
    return weight is not None and weight.ndim == 2
