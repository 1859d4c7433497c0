"""Objects of a run, built from its config: data, task, model, regularizers, schedules and Lightning module."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psutil
import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from reglab.compat.torch import is_size_overflow
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
    equal_passes_error,
    example_shape_error,
    nothing_to_act_on_error,
)
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import LABEL_SETS, NUMBER_TARGETS, features_of
from reglab.seeding import seeded
from reglab.tasks import Task, task_of
from reglab.training.fit import Fit
from reglab.training.initial_weights import has_all_weights, initialize_lazy_weights
from reglab.training.module import Module
from reglab.training.run_caveats import batch_caveats, model_caveats, output_caveats, parameter_caveats
from reglab.training.train_eval_mode import set_training
from reglab.user_code.importing import load
from reglab.user_code.reads import check_reads


def build_data(cfg: DictConfig) -> TensorData:
    """Load and split the data of a run, with the limits of `trainer`."""
    data = unlimited_data(cfg)
    limit_data(cfg, data)
    return data


def unlimited_data(cfg: DictConfig) -> TensorData:
    """Load and split the data of a run, without the limits of `trainer`."""
    with seeded_for_data(cfg):
        data: TensorData = instantiate(cfg.data)
        data.setup()
    return data


def seeded_for_data(cfg: DictConfig) -> AbstractContextManager[None]:
    """Seed the global generators with the split seed for a data set that draws from them, then restore them."""
    return seeded(int(cfg.data.split_seed), "data")


def limit_data(cfg: DictConfig, data: TensorData) -> None:
    """Apply the limits of `trainer` to loaded data; see `TensorData.limit`."""
    data.limit(**{part: cfg.trainer.get(f"limit_{part}_batches") for part in ("train", "val", "test")})


def build_task(cfg: DictConfig, data: TensorData) -> Task:
    """Return the task of a run, with the options of the config's section `task`.

    Raises:
        ConfigError: an option that the kind of task does not have.
    """
    options = to_plain_dict(cfg.task) if cfg.get("task") else {}
    check_task_options(options, data.kind, str(data.name))
    return task_of(data, **{key: value for key, value in options.items() if value is not None})


def build_model(cfg: DictConfig, data: TensorData) -> nn.Module:
    """Build the network in training mode, sized by the data; its initial weights depend only on the seed.

    Raises:
        ConfigError: two networks of a user's class differ in their initial weights, have lazy layers that no pass
            initializes, or read a file that is not part of the identity.
    """

    def make() -> nn.Module:
        return sized_model(cfg, data.input_shape, data.outputs, padded=data.padded)

    with reads_checked(cfg):
        network = make()
        if is_user_network(cfg) or not has_all_weights(network):
            return initialize_lazy_weights(network, make, data.train.inputs[:2], cfg)
        return network


def reads_checked(cfg: DictConfig) -> AbstractContextManager[None]:
    """Return a context in which a user's network may read only files of the run's identity; see `check_reads`."""
    if "target" not in cfg.model:
        return nullcontext()
    sections = [to_plain_dict(cfg.model).get("args"), to_plain_dict(cfg.data)]
    return check_reads(Setting("model.target", cfg.model.target), sections)


def is_user_network(cfg: DictConfig) -> bool:
    """Return whether the network is a class of the user."""
    return "target" in cfg.model or not str(cfg.model._target_).startswith("reglab.")


def sized_model(cfg: DictConfig, input_shape: tuple[int, ...], outputs: int, *, padded: bool = False) -> nn.Module:
    """Build the network from the sizes of the data alone; lazy layers of a user's network stay uninitialized.

    Args:
        cfg: config of a run.
        input_shape: shape of an example.
        outputs: number of outputs.
        padded: whether the sequences have different lengths.

    Raises:
        ConfigError: it needs more memory than the machine has, or its constructor changes a global setting of torch.
    """
    arguments = {key: value for key, value in to_plain_dict(cfg.model).items() if key not in ("_target_", "name")}
    model_class = get_class(cfg.model._target_)
    if padded and "padded" in inspect.signature(model_class).parameters:
        arguments["padded"] = True
    if not is_user_network(cfg):
        _check_size(cfg, lambda: model_class(input_shape=input_shape, outputs=outputs, **arguments))
    if arguments.get("target"):  # first: random numbers drawn at import must not affect the weights
        with seeded("import"):
            load(str(arguments["target"]), "model.target")
    with seeded(int(cfg.seed), "init"):
        seed, dtype = torch.default_generator.initial_seed(), torch.get_default_dtype()
        network: nn.Module = model_class(input_shape=input_shape, outputs=outputs, **arguments)
        if torch.default_generator.initial_seed() != seed:
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
                "pass the dtype to its layers, as in nn.Linear(8, 2, dtype=torch.float64)",
            )
    set_training(network)
    return network


_UNCHECKED_UNITS = 1024  # units of a layer: a thousand such layers take less than 16 GiB
_COPIES = 3  # weights, gradients and best weights


def _check_size(cfg: DictConfig, make: Callable[[], nn.Module]) -> None:
    """Check the memory of a network of reglab, built on the meta device, against that of this machine.

    Raises:
        ConfigError: it needs more; names the key of the model with the largest number.
    """
    if cfg.model.get("path"):  # pretrained weights: the file determines the size
        return
    largest = {key: max(_whole_numbers(value), default=0) for key, value in to_plain_dict(cfg.model).items()}
    largest_key = max(largest, key=lambda name: largest[name])
    if largest[largest_key] <= _UNCHECKED_UNITS:
        return
    where = Setting(f"model.{largest_key}", to_plain_dict(cfg.model)[largest_key])
    try:
        with torch.device("meta"):
            network = make()
        required = _COPIES * sum(weight.numel() * weight.element_size() for weight in network.parameters())
    except ConfigError:
        raise
    except (RuntimeError, OverflowError) as error:
        if is_size_overflow(error):
            raise ConfigError(where, "the sizes of the weights exceed 64 bits", "choose smaller numbers") from error
        return  # the real build reports the same error
    available = psutil.virtual_memory().total
    if required > available:
        raise ConfigError(
            where,
            f"weights, gradients and a copy of the weights take {required / 2**30:.3g} GiB, and this "
            f"machine has {available / 2**30:.3g} GiB",
            "choose smaller numbers",
        )


def _whole_numbers(value: Any) -> list[int]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, int) and not isinstance(item, bool)]


_NOT_STRENGTHS = ("_target_", "schedule")  # keys of a regularizer's section that are not strengths


def build_regularizers(
    cfg: DictConfig, model: nn.Module, kind: str, input_shape: tuple[int, ...], labels: Sequence[str] = ()
) -> list[Regularizer]:
    """Build the regularizers of the strategy, ordered and attached to the model.

    Args:
        cfg: config of a run.
        model: the model.
        kind: kind of the task.
        input_shape: shape of an example.
        labels: labels of a multi-label classification; empty: the check of a monitored label passes.

    Raises:
        ConfigError: a regularizer does not support the task or the shape of its examples, has nothing to act on, or
            compares two passes that are equal.
    """
    methods: list[Regularizer] = []
    for name, node in to_plain_dict(cfg.regularizer).items():
        if not name.startswith("_"):
            strengths = {key: value for key, value in node.items() if key not in _NOT_STRENGTHS}
            methods.append(get_class(node["_target_"])(**strengths))
            methods[-1].name = name
    ordered = in_order(methods)
    for regularizer in ordered:
        where = Setting("regularizer", regularizer.name)
        check_task(where, regularizer.requires_task, kind, "this data", "leave it out")
        check_monitor(where, regularizer.monitor, kind, "this data", labels)
        if regularizer.input_dims and len(input_shape) not in regularizer.input_dims:
            actual = f"this data's examples have the shape {input_shape}"
            raise example_shape_error(where, regularizer.input_dims, actual, "leave it out")
        _set_active_strengths(regularizer, to_plain_dict(cfg.regularizer)[regularizer.name].get("schedule") or {})
        with seeded(int(cfg.get("seed", 0)), "attach", regularizer.name):
            is_attached = attach(regularizer, model)
        if not is_attached:
            raise nothing_to_act_on_error(regularizer.name, to_plain_dict(cfg.model), regularizer.requirement)
    _check_passes_differ(ordered, model)
    return ordered


def build_with_caveats(cfg: DictConfig, model: nn.Module, data: TensorData) -> tuple[list[Regularizer], list[str]]:
    """Return `build_regularizers` for a model and its data, and caveats about the model and the regularizers on both.

    Raises:
        ConfigError: as `build_regularizers`, or the optimizer cannot be combined with a regularizer.
    """
    caveats = model_caveats(model)
    if is_user_network(cfg):
        caveats += parameter_caveats(model, data.train.inputs[:2]) + batch_caveats(model, data.train.inputs[:8])
        if NUMBER_TARGETS not in features_of(data.kind):
            caveats += output_caveats(model, data.train.inputs[:8])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        labels = data.class_names if LABEL_SETS in features_of(data.kind) else ()
        regularizers = build_regularizers(cfg, model, data.kind, data.input_shape, labels)
    check_gradients(get_class(cfg.optimizer._target_), regularizers)
    return regularizers, [*caveats, *(str(warning.message) for warning in caught)]


def _check_passes_differ(regularizers: Iterable[Regularizer], model: nn.Module) -> None:
    """Raise an error for a regularizer that compares two passes if nothing in them is random."""
    comparing = [regularizer.name for regularizer in regularizers if regularizer.compares_passes]
    if comparing and not any(r.stochastic for r in regularizers) and not random_layers(model):
        raise equal_passes_error(comparing[0])


def build_schedules(cfg: DictConfig, regularizers: Iterable[Regularizer]) -> dict[tuple[Regularizer, str], Schedule]:
    """Build the schedules of the strengths that have one, by regularizer and name of the strength."""
    sections = to_plain_dict(cfg.regularizer)
    schedules = {}
    for regularizer in regularizers:
        section = sections[regularizer.name]
        for name, settings in (section.get("schedule") or {}).items():
            strength = regularizer.strengths()[name]
            value = float(section[name])
            schedules[regularizer, name] = schedule(value, strength.off, settings, whole=strength.whole)
    return schedules


def _set_active_strengths(regularizer: Regularizer, schedules: Mapping[str, Any]) -> None:
    """Set strengths whose schedule ends at the off value to its start, so that attaching finds modules to act on."""
    for strength, settings in schedules.items():
        if settings["kind"] == "linear":
            buffer = regularizer.get_buffer(strength)
            if float(buffer) == regularizer.strengths()[strength].off:
                buffer.fill_(settings["start"])


def build_module(cfg: DictConfig, fit: Fit, parts: tuple[str, ...]) -> Module:
    """Build the LightningModule with its optimizer and scheduler; for `parts` see `Module`."""
    return Module(
        fit,
        optimizer=_optimizer_factory(cfg.optimizer),
        scheduler=_scheduler_factory(cfg.scheduler),
        seed=int(cfg.seed),
        parts=parts,
        monitored=[r.monitor for r in fit.regularizers if r.monitors_validation],  # type: ignore[misc]
    )


def _optimizer_factory(node: DictConfig) -> Callable[[Any], torch.optim.Optimizer]:
    arguments = {key: value for key, value in to_plain_dict(node).items() if key not in ("_target_", "name")}
    optimizer = get_class(node._target_)
    return lambda parameters: optimizer(parameters, **arguments)


def _scheduler_factory(node: DictConfig) -> Callable[[torch.optim.Optimizer, int], Any] | None:
    if not node.get("_target_"):
        return None
    arguments = {key: value for key, value in to_plain_dict(node).items() if key not in ("_target_", "name")}
    scheduler = get_class(node._target_)

    def make(optimizer: torch.optim.Optimizer, steps: int) -> Any:
        # A scheduler with a parameter for its length gets the number of steps of the training.
        parameters = inspect.signature(scheduler).parameters
        length = {key: steps for key in ("T_max", "total_steps") if key in parameters}
        return scheduler(optimizer, **{**length, **arguments})

    return make


def to_plain_dict(node: DictConfig) -> Mapping[str, Any]:
    """Return a section as a plain dict, with interpolations resolved."""
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
