"""Private parts of Hydra."""

import argparse
import copy

from hydra._internal.utils import get_args_parser
from hydra.experimental.callback import Callback
from hydra.types import HydraContext


def argument_parser() -> argparse.ArgumentParser:
    """Return Hydra's parser of the command line.

    Hydra has no public function that separates its flags from overrides, and the command line is checked before Hydra
    runs.
    """
    return get_args_parser()


def with_last_callback(context: HydraContext, callback: Callback) -> HydraContext:
    """Return a context with one more callback, called after those of `context` at the end of a job.

    Hydra reads callbacks from the config only, where a user could add another one. It calls them in reverse order at
    the end of a job.
    """
    callbacks = copy.copy(context.callbacks)
    callbacks.callbacks = [callback, *context.callbacks.callbacks]
    return HydraContext(context.config_loader, callbacks)
