"""The common part of all entry points: Hydra's command line, errors in one line, exit codes."""

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig, OmegaConf, open_dict

from reglab.config.command_line import help_text
from reglab.exits import exits_are_errors
from reglab.garbage import import_libraries
from reglab.masking import hide_typed_uri
from reglab.paths import CONF
from reglab.schema.errors import ConfigError, Setting, StoreLost
from reglab.stopping import Stopped, end_at_second_signal, restore_keyboard_interrupt
from reglab.streams import make_streams_safe, note, write
from reglab.user_code.importing import describe_error

if TYPE_CHECKING:
    from reglab.config.compose import Composer

_TRAINING_MODULES = ("torch", "pytorch_lightning", "mlflow")


class HydraBypass(BaseException):
    """Carry an error through Hydra, which would otherwise print it in several lines and end the process.

    Args:
        error: the error.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def bypass_hydra() -> Iterator[None]:
    """Wrap errors of the block (a main function or a sweeper) in `HydraBypass`, which Hydra passes on to `run_app`."""
    try:
        with exits_are_errors():
            yield
    except Exception as error:
        raise HydraBypass(error) from error


def run_app(
    main: Callable[[DictConfig], Any],
    config_name: str,
    check: Callable[[DictConfig], None] | None = None,
    *,
    multirun: bool = False,
) -> NoReturn:
    """Run a Hydra app on the overrides of the command line, from any directory, and end the process.

    The exit code is 0, 2 for an invalid config or command line, 128 + signal, or 1 for any other error. Errors are one
    line on standard error, with a stack trace if ``HYDRA_FULL_ERROR=1`` is set.

    Args:
        main: takes the composed config; imports heavy libraries inside, after `load_libraries`.
        config_name: a file in conf/, without its extension.
        check: raises ConfigError for an invalid config; called before `main`, without heavy imports.
        multirun: the sweeper does the work, as with Hydra's flag ``-m``, and `main` is never called.
    """
    arguments = sys.argv[1:]
    if multirun and not {"-m", "--multirun", "--cfg", "-c", "--info", "-i"} & set(arguments):
        arguments = ["--multirun", *arguments]
    try:
        restore_keyboard_interrupt()
        end_at_second_signal()
        make_streams_safe()
        arguments = hide_typed_uri(arguments)
        sys.argv[1:] = prepare_arguments(arguments, config_name, check)
        _run_hydra(main, config_name, check)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            note(end.code)
    except BaseException as error:
        code = report_error(error.error if isinstance(error, HydraBypass) else error, arguments, config_name)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    raise SystemExit(code)


def prepare_arguments(
    arguments: Sequence[str], config_name: str, check: Callable[[DictConfig], None] | None = None
) -> list[str]:
    """Compose and check the config of a command line in a fraction of a second, before Hydra does.

    Args:
        arguments: arguments of the command line.
        config_name: name of the app.
        check: see `run_app`.

    Returns:
        Arguments for Hydra, flags before overrides. The sections of a study that take any key get ``+``. In a multirun
        a single strength becomes a sweep of one value, since only the sweeper knows which jobs have its regularizer.

    Raises:
        ConfigError: the config does not compose, or is invalid.
        SystemExit: after the text of ``--help``.
    """
    # Imported here, as in the functions below, so that --help need not wait for Hydra.
    from reglab.compat.hydra import argument_parser

    parser = argument_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]  # argparse would print the usage of all flags
    args = parser.parse_intermixed_args(list(arguments))
    arguments = _flags_first(arguments, args.overrides)  # Hydra refuses overrides after a flag
    app = args.config_name or config_name
    if args.help and (text := help_text(app)):
        write(text)
        raise SystemExit(0)
    if args.config_dir is not None or args.config_path is not None:
        from reglab.config.hydra_errors import check_config_flags

        check_config_flags(app, args.config_dir, args.config_path)
        return arguments  # the config is checked after Hydra has composed it
    if args.hydra_help or args.shell_completion or args.experimental_rerun:
        return arguments

    from reglab.config.command_line import check_line, notes_on_replaced, split_mappings
    from reglab.config.selection import is_strength, open_study_section
    from reglab.config.trusted import check_typed

    check_typed(args.overrides)
    arguments = [open_study_section(argument) for argument in arguments]
    overrides = [open_study_section(override) for override in args.overrides]
    check_line(split_mappings(overrides), app)
    for line in notes_on_replaced(split_mappings(overrides)):
        note(f"note: {line}")
    if args.multirun:
        if args.cfg or args.info:
            raise ConfigError(f"--{'cfg' if args.cfg else 'info'}", "shows the config of one run", "leave out -m")
        _check_multirun(overrides, app)
        return [_as_sweep(argument) if is_strength(argument) else argument for argument in arguments]
    shows_only = args.help or args.cfg or args.info
    _check_single_run(overrides, app, None if shows_only else check, compose_only=shows_only)
    return arguments


def _check_multirun(overrides: Sequence[str], app: str) -> None:
    """Check the part of a multirun's config that its jobs share; the sweeper checks each job."""
    from reglab.config.command_line import check_mode, split_mappings
    from reglab.config.compose import Composer, parse
    from reglab.config.dependent_keys import check_effect
    from reglab.config.selection import is_strength

    check_mode(split_mappings(overrides), app, multirun=True)
    shared = [
        override for override in overrides if not parse(override).is_sweep_override() and not is_strength(override)
    ]
    cfg = _compose_with_hydra(Composer(app), shared)
    if app == "study":
        check_effect(app, split_mappings(overrides), cfg)


def _check_single_run(
    overrides: Sequence[str], app: str, check: Callable[[DictConfig], None] | None, *, compose_only: bool
) -> None:
    """Compose the config of a single run and, unless it is only to be shown, check it."""
    from reglab.config.command_line import check_mode, notes_on_ineffective, split_mappings
    from reglab.config.compose import Composer
    from reglab.config.dependent_keys import check_effect
    from reglab.config.selection import remove_stray_strengths

    cfg = _compose_with_hydra(Composer(app), overrides)
    if compose_only:
        return
    if OmegaConf.select(cfg, "hydra.sweeper.params"):
        raise ConfigError(Setting.of(_experiment(overrides)), "is a sweep, which needs -m")
    with open_dict(cfg):
        del cfg["hydra"]
    remove_stray_strengths(cfg, overrides)
    if check is not None:
        check(cfg)
    split_overrides = split_mappings(overrides)
    check_effect(app, split_overrides, cfg)
    check_mode(split_overrides, app, multirun=False)
    for line in notes_on_ineffective(split_overrides, app):
        note(f"note: {line}")
    if app == "train":
        from reglab.config.check_run import check_names

        check_names(split_overrides, cfg)


def _compose_with_hydra(composer: "Composer", overrides: Sequence[str]) -> DictConfig:
    """Compose a config with Hydra's section; an error about a mapping names the key in it."""
    from reglab.config.command_line import split_mappings

    try:
        return composer.whole(overrides)
    except ConfigError as error:
        try:
            composer.whole(split_mappings(overrides))
        except ConfigError:
            raise
        except ValueError:  # of OmegaConf: a key of a mapping in a list cannot be set by itself
            pass
        raise error


def _flags_first(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the arguments with the overrides, in their order, at the end."""
    flags = []
    remaining = list(overrides)
    for argument in arguments:
        if remaining and argument == remaining[0]:
            remaining.pop(0)
        else:
            flags.append(argument)
    return [*flags, *overrides]


def _refuse_flag(message: str) -> NoReturn:
    raise ConfigError("", message, "see --help")


def _experiment(overrides: Sequence[str]) -> str:
    """Return the override that selects an experiment with a sweep."""
    return next((o for o in overrides if o.startswith("experiment=")), "hydra.sweeper.params")


def _as_sweep(override: str) -> str:
    """Return an override as a sweep; a single value becomes a sweep of one value."""
    from reglab.config.compose import parse

    key, _, value = override.partition("=")
    return override if parse(override).is_sweep_override() else f"{key}=choice({value})"


def _run_hydra(main: Callable[[DictConfig], Any], config_name: str, check: Callable[[DictConfig], None] | None) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from reglab.config.selection import remove_stray_strengths

    @functools.wraps(main)
    def job(cfg: DictConfig) -> Any:
        with bypass_hydra():
            remove_stray_strengths(cfg, list(HydraConfig.get().overrides.task))
            if check is not None:
                check(cfg)
            return main(cfg)

    hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()


def report_error(error: BaseException, overrides: Sequence[str], config_name: str) -> int:
    """Print an error as one line on standard error, and return the exit code.

    Args:
        error: error of any kind.
        overrides: overrides of the command line.
        config_name: name of the app.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    if isinstance(error, Stopped):
        return _print_error(f"stopped by {error}", error.exit_code, error)
    if isinstance(error, KeyboardInterrupt):
        return _print_error("stopped by Ctrl-C", 130, error)
    if isinstance(error, ConfigError):
        return _print_error(str(error), 1 if isinstance(error, StoreLost) else 2, error)
    from reglab.config.hydra_errors import is_config_error, translate

    if isinstance(error, Exception) and is_config_error(error):
        return _print_error(str(translate(error, overrides, config_name)), 2, error)
    line = describe_error(error)
    if getattr(error, "run_id", None) is None and os.environ.get("HYDRA_FULL_ERROR") != "1":
        line += " (HYDRA_FULL_ERROR=1 shows where)"
    return _print_error(line, 1, error)


def _print_error(line: str, code: int, error: BaseException) -> int:
    """Print the line of an error, with the state of the run that failed if there is one; return the exit code."""
    run_id = getattr(error, "run_id", None)
    if run_id and isinstance(error, StoreLost):
        line += f"; run {run_id} was not closed: the next start closes it"
    elif run_id and code == 1:
        line += f" (run {run_id} is FAILED; its error.txt contains the traceback)"
    elif run_id:
        line += f" (run {run_id})"
    note(line)
    return code


def load_libraries(names: str = "torch, Lightning and MLflow", modules: Sequence[str] = _TRAINING_MODULES) -> None:
    """Import modules, which takes seconds, and print a line before, unless they are imported already.

    Args:
        names: libraries that the modules import, for the line.
        modules: full names.
    """
    if any(module not in sys.modules for module in modules):
        note(f"loading {names} ...")
    import_libraries(*modules)
