"""A tracked model, built again: its class from the project's own configs, its weights and tokenizer from the run."""

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf
from tokenizers import Tokenizer
from torch import nn

from reglab.config.trusted import Typed
from reglab.data.tokenizer import end_token, parse_tokenizer
from reglab.inference.rebuilt import best_weights, finished
from reglab.schema.errors import ConfigError
from reglab.tracking import artifacts, queries
from reglab.training import build, origin
from reglab.training.weights import load_trained

_KIND = "language modeling"


@dataclass(frozen=True)
class Decoder:
    """A trained language model.

    Attributes:
        record: its run.
        cfg: of the run, composed anew.
        model: with the best weights, in evaluation mode; without regularizers.
        vocabulary: its tokenizer.
        context_length: tokens of the windows that it was trained on.
    """

    record: queries.Record
    cfg: DictConfig
    model: nn.Module
    vocabulary: Tokenizer
    context_length: int

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return end_token(self.vocabulary)


def decoder(uri: str | None, run_id: str, typed: Typed | None = None) -> Decoder:
    """The language model of a run, with its best weights.

    Raises:
        ConfigError: no such run, none of a language model, or one that kept no weights, or no tokenizer that fits them.
    """
    made = finished(uri, run_id, typed)
    key = f"run_id={run_id}"
    if made.record.tags.get("task") != _KIND:
        told = made.record.tags.get("task") or "of no known task"
        raise ConfigError(key, f"is {told}, and text comes from a language model", "give a run with model=llama")
    try:
        cfg = origin.composed(made, reads=("model",))  # its text was read with the tokenizer that the run has kept
    except ConfigError as error:
        raise ConfigError(key, error) from error
    origin.check_files(made, cfg, reads=("model",))
    origin.check_code(made, cfg)
    files = artifacts.of(made.store, run_id)
    text = files.read_text("tokenizer.json")
    if text is None:
        raise ConfigError(key, "has no tokenizer.json, which its text was read with", "give another run")
    vocabulary = parse_tokenizer(text, key, "tokenizer.json")
    length = int(cfg.data.context_length)
    model = build.sized_model(cfg, (length,), vocabulary.get_vocab_size())
    weights = best_weights(made, cfg)
    try:
        load_trained(model, weights)
    except RuntimeError as error:
        raise ConfigError(
            key,
            f"its weights do not fit {cfg.model.name} with the {vocabulary.get_vocab_size()} tokens of its tokenizer",
            "one of the two is of another run",
        ) from error
    OmegaConf.set_readonly(cfg, True)
    return Decoder(made.record, cfg, model.eval(), vocabulary, length)
