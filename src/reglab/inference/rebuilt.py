"""What a tracked run trained, made anew: its data, and its network with the best weights."""

from dataclasses import dataclass

from omegaconf import DictConfig
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from reglab.config.trusted import Typed
from reglab.data.base import TensorData
from reglab.schema.errors import ConfigError, Setting
from reglab.tracking import artifacts
from reglab.training import build, origin
from reglab.training.origin import Origin
from reglab.training.trainer import set_threads
from reglab.training.weights import load_trained

BEST = "weights/best.safetensors"


@dataclass(frozen=True)
class Rebuilt:
    """A trained network with its data.

    Attributes:
        made: its run.
        cfg: of the run, composed anew.
        data: loaded and split as the run had it.
        model: without regularizers, with the best weights, in evaluation mode.
    """

    made: Origin
    cfg: DictConfig
    data: TensorData
    model: nn.Module


def finished(uri: str | None, run_id: str, typed: Typed | None = None, experiment: str | None = None) -> Origin:
    """The run of that id, which has trained to its end; see `Origin`.

    Raises:
        ConfigError: no such run, a parent, one that has not ended, or one that failed.
    """
    made = origin.find(uri, run_id, typed, experiment)
    if made.record.status != "FINISHED":
        raise ConfigError(
            Setting("run_id", run_id), f"is {made.record.status}, so no trained model is left", "give a FINISHED run"
        )
    return made


def rebuilt(made: Origin, uri: str | None) -> Rebuilt:
    """The network of a finished run, as its test saw it.

    Args:
        made: the run.
        uri: of its store, as the user gave it.

    Raises:
        ConfigError: its overrides do not compose any more, its data or its own code are gone or others, or it kept no
            weights.
    """
    cfg = origin.recomposed(made, uri)
    set_threads(int(cfg.trainer.threads))
    weights = best_weights(made, cfg)
    data = build.build_data(cfg)
    model = build.build_model(cfg, data)
    try:
        load_trained(model, weights)
    except RuntimeError as error:
        raise ConfigError(
            Setting("run_id", made.record.run_id),
            f"its weights do not fit {cfg.model.name}, whose code is another now",
            f"check out the commit {made.record.tags.get('git_commit')}",
        ) from error
    return Rebuilt(made, cfg, data, model.eval())


def best_weights(made: Origin, cfg: DictConfig) -> dict[str, Tensor]:
    """The best weights of a run, by the keys of the plain model.

    Raises:
        ConfigError: it kept none, or the file is damaged.
    """
    run_id = made.record.run_id
    files = artifacts.of(made.store, run_id)
    with files.file(BEST) as file:
        if file is None:
            raise ConfigError(
                Setting("run_id", run_id),
                f"kept no weights (tracking.weights={cfg.tracking.weights})",
                "give another run",
            )
        try:
            return load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise files.damaged(BEST, error) from error
