"""Each private part of Hydra exists and works as documented in `reglab.compat.hydra`."""

from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import HydraContext
from omegaconf import OmegaConf

from reglab.compat.hydra import argument_parser, with_last_callback


def test_the_parser_separates_flags_from_overrides() -> None:
    args = argument_parser().parse_intermixed_args(["-m", "seed=0,1", "--cfg", "job", "+data.x=1"])
    assert args.overrides == ["seed=0,1", "+data.x=1"]
    assert (args.multirun, args.cfg, args.help, args.info) == (True, "job", False, None)
    assert not any((args.config_dir, args.config_path, args.config_name))
    assert not any((args.hydra_help, args.shell_completion, args.experimental_rerun))


class _Recorder(Callback):
    def __init__(self, calls: list["_Recorder"]) -> None:
        self.calls = calls

    def on_job_end(self, config: Any, job_return: JobReturn, **kwargs: Any) -> None:
        self.calls.append(self)


def test_a_callback_is_called_after_those_of_the_context() -> None:
    calls: list[_Recorder] = []
    first, last = _Recorder(calls), _Recorder(calls)
    callbacks = Callbacks()
    callbacks.callbacks = [first]
    context = HydraContext(None, callbacks)  # type: ignore[arg-type]  # no config is loaded
    extended = with_last_callback(context, last)
    extended.callbacks.on_job_end(config=OmegaConf.create({}), job_return=JobReturn())
    assert calls == [first, last]
    assert context.callbacks.callbacks == [first]
