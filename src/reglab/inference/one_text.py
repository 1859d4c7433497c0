"""Which tracked decoders can be compared: those that were validated on one text."""

from collections.abc import Sequence

from reglab.tracking.queries import Record
from reglab.tracking.values import json_object

_TOKENS = {"data.tokenizer", "data.vocab_size"}
# How a text is taught, and not which text is judged: validation is the same characters whatever these are.
_TAUGHT = {"data.context_length", "data.train_size", "data.batch_size", "data.label_noise"}


def of_the_last(decoders: Sequence[Record], *, tokens: bool = False) -> tuple[list[Record], tuple[str, ...]]:
    """Those that were validated on the text of the one that finished last, and what the other texts are called.

    Args:
        decoders: finished runs, at least one.
        tokens: the same tokenizer, too: for what is measured by token.
    """
    last = max(decoders, key=lambda record: record.ended or record.started)
    text = _text(last, tokens)
    same = [record for record in decoders if _text(record, tokens) == text]
    others = {_called(record, last, tokens) for record in decoders if record not in same}
    return same, tuple(sorted(others))


def _text(record: Record, tokens: bool) -> dict[str, object]:
    """What tells the text, by its keys; a file by its content. A run without such a tag is known by its data's name."""
    about = json_object(record.tags.get("about"))
    apart = _TAUGHT if tokens else _TAUGHT | _TOKENS
    text = {key: value for key, value in about.items() if key.startswith("data.") and key not in apart}
    return text or {"data.name": record.tags.get("data")}


def _called(other: Record, last: Record, tokens: bool) -> str:
    name = str(other.tags.get("data"))
    if name != last.tags.get("data"):
        return name
    one, two = _text(other, tokens), _text(last, tokens)
    return f"{name} with other {', '.join(sorted(k for k in one.keys() | two.keys() if one.get(k) != two.get(k)))}"
