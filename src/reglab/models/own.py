"""Networks from a module of the user."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from reglab.schema.constraints import Constraints, Described, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text_constraints import KeysWithValues, Text
from reglab.user_code.finding import module_and_class
from reglab.user_code.importing import describe_error, load, unknown_imports

KEY = "model.target"


class Own:
    """Create an instance of a user's class: ``my_net.Net`` is the class ``Net`` of ``my_net.py``.

    The module is searched for in the working directory, then in ``sys.path``. Its text and that of all modules that it
    imports from there, also in constructors and forward passes, are part of the identity of a run. The
    constructor receives `args`, and `input_shape`, `outputs` and `padded` if it takes them. Outputs are logits
    (rows, classes), or numbers (rows,) for regression.

    Args:
        input_shape: shape of one example.
        outputs: number of classes, or 1 for a regression.
        target: class with its module, such as ``my_net.Net``.
        args: further arguments of its constructor.
        padded: whether signals have different lengths and are padded with NaN.

    Raises:
        ConfigError: the class does not exist or is not an ``nn.Module``, or the constructor fails.
    """

    constraints: ClassVar[Constraints] = {
        "target": Nullable(Text()),
        "args": Nullable(Described(KeysWithValues(), "arguments by name, as in {width:64}")),
    }

    def __new__(  # type: ignore[misc]
        cls,
        input_shape: tuple[int, ...],
        outputs: int,
        target: str | None = None,
        args: Mapping[str, Any] | None = None,
        padded: bool = False,
    ) -> nn.Module:
        network_class = _load_class(target)
        parameters = inspect.signature(network_class).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        arguments: dict[str, Any] = {"input_shape": input_shape, "outputs": outputs}
        if padded:
            arguments["padded"] = True
        arguments = {key: value for key, value in arguments.items() if takes_all or key in parameters}
        try:
            network = network_class(**arguments, **(args or {}))
        except (Exception, SystemExit) as error:
            remedy = "correct it, or choose other data"
            if not _takes(network_class, {**arguments, **(args or {})}):
                remedy = "give what it needs, as in model.args={width:64}"
            raise ConfigError(
                Setting(KEY, target),
                f"cannot be created for examples of the shape {input_shape} ({describe_error(error)})",
                remedy,
            ) from error
        if not isinstance(network, nn.Module):
            raise ConfigError(
                Setting(KEY, target), f"creates a {type(network).__name__}", "give a class of torch.nn.Module"
            )
        check_known_imports(target)
        return network


def _takes(network_class: Any, arguments: Mapping[str, Any]) -> bool:
    """Return whether a constructor can be called with these keyword arguments."""
    try:
        inspect.signature(network_class).bind(**arguments)
    except TypeError:
        return False
    return True


def check_known_imports(target: str | None) -> None:
    """Check that all imported modules are part of the identity of the run.

    Raises:
        ConfigError: modules were imported by a computed name.
    """
    if names := unknown_imports():
        raise ConfigError(
            Setting(KEY, target),
            f"imports {', '.join(names)} by a computed name, so that its code would not be part of the run's identity",
            f"add a plain import to the file, as in import {names[0]}",
        )


def _load_class(target: str | None) -> Any:
    """Return the class of a target; raise a ConfigError if it is not a class."""
    module, name = module_and_class(target, KEY)
    loaded = load(str(target), KEY)
    if not inspect.isclass(loaded):
        raise ConfigError(Setting(KEY, target), f"the module {module} has no class {name}", "check its name")
    return loaded
