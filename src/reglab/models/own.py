"""A user's own network, from a module of theirs."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from reglab.schema.constraints import Constraints, Described, KeysWithValues, Nullable, Text
from reglab.schema.errors import ConfigError, Setting
from reglab.user_code.finding import module_and_class
from reglab.user_code.importing import describe_error, load, unforeseen

KEY = "model.target"


class Own:
    """Makes an object of a class that is named by its module: ``my_net.Net`` is the class ``Net`` of ``my_net.py``.

    The module is looked for in the folder that the command runs in, then where Python looks; its text and that of all
    it imports from there are a part of a run's identity. Imports in constructors and forward passes work as well. The
    class is given `args`, and `input_shape`, `outputs` and `padded` where it takes them.
    What it says is taken as logits (rows, classes), or for a regression as numbers (rows,).

    Args:
        input_shape: shape of one example.
        outputs: number of classes, or 1 for a regression.
        target: the class, with its module.
        args: further arguments of its constructor.
        padded: whether signals may end before the longest does, NaN from there on.

    Raises:
        ConfigError: no such module or class, one that is no ``nn.Module``, or arguments that it does not take.
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
        network = _found(target)
        taken = inspect.signature(network).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
        given: dict[str, Any] = {"input_shape": input_shape, "outputs": outputs}
        if padded:
            given["padded"] = True
        given = {key: value for key, value in given.items() if takes_all or key in taken}
        try:
            made = network(**given, **(args or {}))
        except (Exception, SystemExit) as error:
            remedy = "correct it, or choose other data"
            if not _accepts(network, {**given, **(args or {})}):
                remedy = "give what it needs, as in model.args={width:64}"
            raise ConfigError(
                Setting(KEY, target),
                f"cannot be made for examples of the shape {input_shape} ({describe_error(error)})",
                remedy,
            ) from error
        if not isinstance(made, nn.Module):
            raise ConfigError(Setting(KEY, target), f"makes a {type(made).__name__}", "give a class of torch.nn.Module")
        check_foreseen(target)
        return made


def _accepts(network: Any, arguments: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(network).bind(**arguments)
    except TypeError:
        return False
    return True


def check_foreseen(target: str | None) -> None:
    """Refuse code that is in no run's identity, since its module was imported by a name that a program computed.

    Raises:
        ConfigError: names the modules.
    """
    if names := unforeseen():
        raise ConfigError(
            Setting(KEY, target),
            f"imports {', '.join(names)} by a computed name, so that its code would not be part of the run's identity",
            f"add a plain import to the file, as in import {names[0]}",
        )


def _found(target: str | None) -> Any:
    module, name = module_and_class(target, KEY)
    found = load(str(target), KEY)
    if not inspect.isclass(found):
        raise ConfigError(Setting(KEY, target), f"the module {module} has no class {name}", "check its name")
    return found
