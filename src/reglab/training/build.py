"""From a composed config to the objects that train."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psutil
import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from reglab.data.base import TensorData
from reglab.regularizers._dispatch import check_gradients
from reglab.regularizers._hooks import attach
from reglab.regularizers._layers import random_layers
from reglab.regularizers._order import in_order
from reglab.regularizers._schedules import Schedule, schedule
from reglab.regularizers.base import Regularizer
from reglab.schema.compatibility import (
    check_monitor,
    check_task,
    check_task_options,
    nothing_to_act_on,
    passes_are_equal,
    wrong_examples,
)
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import NUMBER_TARGETS, TASK_KINDS, TOKENS
from reglab.schema.text import format_value
from reglab.seeding import seeded
from reglab.tasks import Task, task_of
from reglab.training import guard
from reglab.training.fit import Fit
from reglab.training.initial import completed, is_complete
from reglab.training.modes import set_training
from reglab.training.module import Module
from reglab.training.notes import baseline_notes, output_notes, row_notes, weight_notes
from reglab.user_code.importing import load
from reglab.user_code.reads import check_reads


def build_data(cfg: DictConfig) -> TensorData:
    """The data of a run, loaded, split and limited to the batches that `trainer` asks for."""
    data = whole_data(cfg)
    limit(cfg, data)
    return data


def whole_data(cfg: DictConfig) -> TensorData:
    """Load and split the data of a run, without the limits of `trainer`."""
    with drawing_data(cfg):
        data: TensorData = instantiate(cfg.data)
        data.setup()
    return data


def drawing_data(cfg: DictConfig) -> AbstractContextManager[None]:
    """Seed the global generators with the split seed for a data set that draws from them, then restore them."""
    return seeded(int(cfg.data.split_seed), "data")


def limit(cfg: DictConfig, data: TensorData) -> None:
    """Apply the limits of `trainer` to data that is set up; see `TensorData.limit`."""
    data.limit(**{part: cfg.trainer.get(f"limit_{part}_batches") for part in ("train", "val", "test")})


def build_task(cfg: DictConfig, data: TensorData) -> Task:
    """Return the task of a run, with the options of the config's section `task`.

    Raises:
        ConfigError: an option that the kind of task does not have.
    """
    options = plain(cfg.task) if cfg.get("task") else {}
    check_task_options(options, data.kind, str(data.name))
    return task_of(data, **{key: value for key, value in options.items() if value is not None})


def build_model(cfg: DictConfig, data: TensorData) -> nn.Module:
    """Build the network in training mode, sized by the data; its initial weights depend only on the seed.

    Raises:
        ConfigError: two networks of a user's class differ in their initial weights, or it has lazy layers that no pass
            gives a shape, or it reads a file that is not part of the identity.
    """

    def make() -> nn.Module:
        return sized_model(cfg, data.input_shape, data.outputs, padded=data.padded)

    with reads_checked(cfg):
        network = make()
        if is_users(cfg) or not is_complete(network):
            return completed(network, make, data.train.inputs[:2], cfg)
        return network


def reads_checked(cfg: DictConfig) -> AbstractContextManager[None]:
    """Refuse files that a user's own network reads and that are not part of the identity; see `check_reads`."""
    if "target" not in cfg.model:
        return nullcontext()
    named = [plain(cfg.model).get("args"), plain(cfg.data)]
    return check_reads(Setting("model.target", cfg.model.target), named)


def is_users(cfg: DictConfig) -> bool:
    """Whether the network is a user's own class."""
    return "target" in cfg.model or not str(cfg.model._target_).startswith("reglab.")


def sized_model(cfg: DictConfig, input_shape: tuple[int, ...], outputs: int, *, padded: bool = False) -> nn.Module:
    """The same where the sizes are known and the data not needed; `padded`: sequences of different lengths.

    Lazy layers of a user's network have no weights yet.
    """
    keys = {key: value for key, value in plain(cfg.model).items() if key not in ("_target_", "name")}
    model = get_class(cfg.model._target_)
    if padded and "padded" in inspect.signature(model).parameters:
        keys["padded"] = True
    if not is_users(cfg):
        _check_size(cfg, lambda: model(input_shape=input_shape, outputs=outputs, **keys))
    if keys.get("target"):  # before the seed acts: what a file draws or seeds at import is no part of the weights
        with seeded("import"):
            load(str(keys["target"]), "model.target")
    with seeded(int(cfg.seed), "init"):
        given, dtype = torch.default_generator.initial_seed(), torch.get_default_dtype()
        network: nn.Module = model(input_shape=input_shape, outputs=outputs, **keys)
        if torch.default_generator.initial_seed() != given:
            raise ConfigError(
                Setting("model", cfg.model.name),
                "its constructor seeds torch (torch.manual_seed, seed_everything), so that every seed would "
                "start from the same weights",
                "remove the call",
            )
        if (changed := torch.get_default_dtype()) != dtype:
            torch.set_default_dtype(dtype)
            raise ConfigError(
                Setting("model", cfg.model.name),
                f"its constructor sets torch's default dtype to {changed} for the whole process",
                "give the dtype to its layers, as in nn.Linear(8, 2, dtype=torch.float64)",
            )
    set_training(network)
    return network


_SMALL = 1024  # units of a layer: a thousand such layers take less than 16 GiB
_COPIES = 3  # of the weights, at least: themselves, their gradients, and the best ones


def _check_size(cfg: DictConfig, make: Callable[[], nn.Module]) -> None:
    """Refuse a network of reglab that needs more than this machine's memory; build it on the meta device.

    Raises:
        ConfigError: names the key of the model with the largest number.
    """
    if cfg.model.get("path"):  # loaded, and so as large as its file
        return
    numbers = {key: max(_numbers(value), default=0) for key, value in plain(cfg.model).items()}
    key = max(numbers, key=lambda name: numbers[name])
    if numbers[key] <= _SMALL:
        return
    here = f"model.{key}={format_value(plain(cfg.model)[key])}"
    try:
        with torch.device("meta"):
            network = make()
        needed = _COPIES * sum(weight.numel() * weight.element_size() for weight in network.parameters())
    except ConfigError:
        raise
    except (RuntimeError, OverflowError) as error:
        if "overflow" in str(error).lower() or isinstance(error, OverflowError):
            raise ConfigError(here, "more weights than can be counted", "choose smaller numbers") from error
        return  # the real build reports the same error
    there = psutil.virtual_memory().total
    if needed > there:
        raise ConfigError(
            here,
            f"weights, gradients and a copy of the weights take {needed / 2**30:.3g} GiB, and this "
            f"machine has {there / 2**30:.3g} GiB",
            "choose smaller numbers",
        )


def _numbers(value: Any) -> list[int]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, int) and not isinstance(item, bool)]


def build_regularizers(cfg: DictConfig, model: nn.Module, kind: str, input_shape: tuple[int, ...]) -> list[Regularizer]:
    """The strategy's regularizers in their order, attached to the model.

    Raises:
        ConfigError: one does not fit the kind of task or the shape of its examples, found nothing to act on, or
            compares passes that nothing makes differ.
    """
    methods: Iterable[Regularizer] = [
        get_class(node["_target_"])(**{key: value for key, value in node.items() if key not in _NOT_STRENGTHS})
        for name, node in plain(cfg.regularizer).items()
        if not name.startswith("_")
    ]
    ordered = in_order(methods)
    for regularizer in ordered:
        where = Setting("regularizer", regularizer.name)
        check_task(where, regularizer.requires_task, kind, "this data", "leave it out")
        check_monitor(where, regularizer.monitor, kind, "this data")
        if regularizer.input_dims and len(input_shape) not in regularizer.input_dims:
            got = f"this data's examples have the shape {input_shape}"
            raise wrong_examples(where, regularizer.input_dims, got, "leave it out")
        _switched_on(regularizer, plain(cfg.regularizer)[regularizer.name].get("schedule") or {})
        with seeded(int(cfg.get("seed", 0)), "attach", regularizer.name):
            found = attach(regularizer, model)
        if not found:
            raise nothing_to_act_on(regularizer.name, plain(cfg.model), regularizer.requirement)
    _check_passes_differ(ordered, model)
    return ordered


def remarked(cfg: DictConfig, model: nn.Module, data: TensorData) -> tuple[list[Regularizer], list[str]]:
    """`build_regularizers` for a model and its data, and remarks: of the model, and of regularizers on the two."""
    baseline = baseline_notes(model)
    if is_users(cfg):
        baseline += weight_notes(model, data.train.inputs[:2]) + row_notes(model, data.train.inputs[:8])
        baseline += (
            output_notes(model, data.train.inputs[:8]) if NUMBER_TARGETS not in TASK_KINDS[data.kind].features else []
        )
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        regularizers = build_regularizers(cfg, model, data.kind, data.input_shape)
    check_gradients(get_class(cfg.optimizer._target_), regularizers)
    return regularizers, [*baseline, *(str(remark.message) for remark in remarks)]


def check_effects(fit: Fit, data: TensorData, most: float = math.inf) -> list[str]:
    """Measure on rows of the first training batch that each regularizer acts; see `reglab.training.guard`.

    Args:
        fit: on the device where its first step is taken.
        data: with training rows.
        most: floating-point operations of a pass; with more nothing is measured. A large model is seen by its run.

    Returns:
        Remarks.

    Raises:
        ConfigError: a regularizer without effect.
    """
    batch = next(iter(data.train_dataloader()))
    places = data.input_shape[0] if TOKENS in TASK_KINDS[data.kind].features else 1
    a_row = 6.0 * places * sum(parameter.numel() for parameter in fit.model.parameters())
    rows = max(2, min(8, int(1e10 / a_row)))
    if rows * a_row > most:
        return []
    try:
        return guard.check_effects(guard.step_of(fit, batch, rows))
    except guard.UnmeasurableError as error:
        return [guard.unmeasured(error)]


def _check_passes_differ(regularizers: Iterable[Regularizer], model: nn.Module) -> None:
    comparing = [regularizer.name for regularizer in regularizers if regularizer.compares_passes]
    if comparing and not any(r.stochastic for r in regularizers) and not random_layers(model):
        raise passes_are_equal(comparing[0])


def build_schedules(cfg: DictConfig, regularizers: Iterable[Regularizer]) -> dict[tuple[Regularizer, str], Schedule]:
    """The schedules of the strengths that have one."""
    return {
        (regularizer, strength): schedule(
            float(node[strength]),
            regularizer.strengths()[strength].off,
            settings,
            whole=regularizer.strengths()[strength].whole,
        )
        for regularizer, node in ((r, plain(cfg.regularizer)[r.name]) for r in regularizers)
        for strength, settings in (node.get("schedule") or {}).items()
    }


def _switched_on(regularizer: Regularizer, schedules: Mapping[str, Any]) -> None:
    """Before it is attached: a strength that ends at its off value must find what it acts on while it is not there."""
    for strength, settings in schedules.items():
        if settings["kind"] == "linear":
            buffer = regularizer.get_buffer(strength)
            if float(buffer) == regularizer.strengths()[strength].off:
                buffer.fill_(settings["start"])


_NOT_STRENGTHS = ("_target_", "schedule")


def build_module(cfg: DictConfig, fit: Fit, parts: tuple[str, ...]) -> Module:
    """The LightningModule with its optimizer and scheduler; for `parts` see `Module`."""
    return Module(
        fit,
        optimizer=_maker(cfg.optimizer),
        scheduler=_scheduler(cfg.scheduler),
        seed=int(cfg.seed),
        parts=parts,
        monitored=[r.monitor for r in fit.regularizers if r.monitors_validation],  # type: ignore[misc]
    )


def _maker(node: DictConfig) -> Callable[[Any], torch.optim.Optimizer]:
    keys = {key: value for key, value in plain(node).items() if key not in ("_target_", "name")}
    optimizer = get_class(node._target_)
    return lambda parameters: optimizer(parameters, **keys)


def _scheduler(node: DictConfig) -> Callable[[torch.optim.Optimizer, int], Any] | None:
    if not node.get("_target_"):
        return None
    keys = {key: value for key, value in plain(node).items() if key not in ("_target_", "name")}
    scheduler = get_class(node._target_)

    def make(optimizer: torch.optim.Optimizer, steps: int) -> Any:
        # A schedule that wants its length gets that of the whole training.
        known = inspect.signature(scheduler).parameters
        length = {key: steps for key in ("T_max", "total_steps") if key in known}
        return scheduler(optimizer, **{**length, **keys})

    return make


def plain(node: DictConfig) -> Mapping[str, Any]:
    """A resolved section as a plain dict."""
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
