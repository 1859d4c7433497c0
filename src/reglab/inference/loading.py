"""Load a tracked run's network again: its class from the project's configs, its weights and tokenizer from the run."""

from collections.abc import Callable
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from reglab.config.trusted import Typed
from reglab.data.base import TensorData
from reglab.data.tokenizer import end_token, parse_tokenizer
from reglab.regularizers.base import Regularizer, regularizer_classes
from reglab.schema.errors import ConfigError, Setting
from reglab.tasks import LanguageModeling
from reglab.tracking import artifacts, queries
from reglab.training import build, original_run
from reglab.training.original_run import OriginalRun
from reglab.training.trainer import set_threads
from reglab.training.weights import load_trainable_state

BEST = "weights/best.safetensors"


@dataclass(frozen=True)
class Rebuilt:
    """A trained network with its data.

    Attributes:
        origin: run that trained it.
        cfg: config of the run, composed again.
        data: data set, loaded and split as in the run.
        model: network without regularizers, with the best weights, in evaluation mode.
    """

    origin: OriginalRun
    cfg: DictConfig
    data: TensorData
    model: nn.Module


def finished_run(
    uri: str | None, run_id: str, typed: Typed | None = None, experiment: str | None = None
) -> OriginalRun:
    """Return the run with an id, which must be FINISHED; see `OriginalRun`.

    Raises:
        ConfigError: no such run, a parent, one that has not ended, or one that failed.
    """
    run = original_run.find(uri, run_id, typed, experiment)
    if run.record.status != "FINISHED":
        raise ConfigError(
            Setting("run_id", run_id), f"is {run.record.status}, so there is no trained model", "give a FINISHED run"
        )
    return run


def rebuild(run: OriginalRun, uri: str | None) -> Rebuilt:
    """Build the network of a finished run again, as it was tested, and load its data.

    Args:
        run: the run.
        uri: URI of its store, as the user gave it.

    Raises:
        ConfigError: its overrides do not compose any more, its data or its own code are missing or have changed, or it
            kept no weights.
    """
    cfg = original_run.recomposed(run, uri)
    set_threads(int(cfg.trainer.threads))
    weights = load_best_weights(run, cfg)
    data = build.build_data(cfg)
    model = build.build_model(cfg, data)
    try:
        load_trainable_state(model, weights)
    except RuntimeError as error:
        raise ConfigError(
            Setting("run_id", run.record.run_id),
            f"its weights do not fit {cfg.model.name}, whose code has changed",
            f"check out the commit {run.record.tags.get('git_commit')}",
        ) from error
    return Rebuilt(run, cfg, data, model.eval())


def load_best_weights(run: OriginalRun, cfg: DictConfig) -> dict[str, Tensor]:
    """Load the best weights of a run, by the keys of the plain model.

    Raises:
        ConfigError: it kept none, or the file is damaged.
    """
    run_id = run.record.run_id
    files = artifacts.of_run(run.store, run_id)
    with files.file(BEST) as file:
        if file is None:
            raise ConfigError(
                Setting("run_id", run_id),
                f"has no weights (tracking.weights={cfg.tracking.weights})",
                "give another run",
            )
        try:
            return load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise files.damaged_error(BEST, error) from error


@dataclass(frozen=True)
class Decoder:
    """A trained language model.

    Attributes:
        record: run that trained it.
        cfg: config of the run, composed again.
        model: network with the best weights, in evaluation mode, without regularizers.
        vocabulary: tokenizer of the model.
        context_length: tokens of the windows on which it was trained.
    """

    record: queries.Record
    cfg: DictConfig
    model: nn.Module
    vocabulary: Tokenizer
    context_length: int

    @property
    def end(self) -> int:
        """The id of the token that ends a text."""
        return end_token(self.vocabulary)


def load_decoder(uri: str | None, run_id: str, typed: Typed | None = None) -> Decoder:
    """Load the language model of a run, with its best weights and its tokenizer.

    Raises:
        ConfigError: no such run, or not of a language model; or it kept no weights, or no tokenizer that fits them.
    """
    run = finished_run(uri, run_id, typed)
    key = Setting("run_id", run_id)
    if run.record.tags.get("task") != LanguageModeling.kind:
        kind = run.record.tags.get("task") or "of an unknown task"
        raise ConfigError(key, f"is {kind}, and text generation needs a language model", "give a run with model=llama")
    try:
        cfg = original_run.composed(
            run, reads=("model",)
        )  # the text was tokenized with the tokenizer that the run kept
    except ConfigError as error:
        raise ConfigError(key, error) from error
    original_run.check_files(run, cfg, reads=("model",))
    original_run.check_code(run, cfg)
    files = artifacts.of_run(run.store, run_id)
    text = files.read_text("tokenizer.json")
    if text is None:
        raise ConfigError(key, "has no tokenizer.json, with which its text was tokenized", "give another run")
    vocabulary = parse_tokenizer(text, key, "tokenizer.json")
    length = int(cfg.data.context_length)
    model = build.sized_model(cfg, (length,), vocabulary.get_vocab_size())
    weights = load_best_weights(run, cfg)
    try:
        load_trainable_state(model, weights)
    except RuntimeError as error:
        raise ConfigError(
            key,
            f"its weights do not fit {cfg.model.name} with the {vocabulary.get_vocab_size()} tokens of its tokenizer",
            "one of the two belongs to another run",
        ) from error
    OmegaConf.set_readonly(cfg, True)
    return Decoder(run.record, cfg, model.eval(), vocabulary, length)


def keep_regularizers(cfg: DictConfig, wanted: Callable[[type[Regularizer]], bool]) -> DictConfig:
    """Return a copy of a config that keeps only the regularizers whose class a function accepts."""
    kept = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(kept, DictConfig)
    methods = regularizer_classes()
    names = [name for name in kept.regularizer if name in methods and wanted(methods[str(name)])]
    kept.regularizer = OmegaConf.masked_copy(kept.regularizer, names)
    return kept
