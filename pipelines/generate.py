"""Continue a text with a tracked decoder: python pipelines/generate.py prompt="Call me Ishmael, he said," """

import sys

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys, check_run_id
from reglab.schema.errors import ConfigError
from reglab.streams import note
from reglab.tracking.location import resolve

_KEY = "prompt="
PROMPT: str | None = None  # None: not given; an empty prompt begins a text


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("generate", cfg)
    check_run_id(cfg.run_id)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Write the continuation of `PROMPT` to standard output.

    Raises:
        ConfigError: there is no prompt.
    """
    if PROMPT is None:
        raise ConfigError("prompt", "missing", "set prompt=TEXT (empty: a new text)")
    load_libraries()
    from reglab.inference.generation import print_generated

    print_generated(cfg, PROMPT)


if __name__ == "__main__":
    # The prompt is not passed to Hydra, whose grammar and configs interpret text such as ${HOME} and ???.
    prompts = [argument.removeprefix(_KEY) for argument in sys.argv[1:] if argument.startswith(_KEY)]
    if len(prompts) > 1:
        note("prompt: is given twice; remove one")
        sys.exit(2)
    PROMPT = prompts[0] if prompts else None
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith(_KEY)]
    run_app(main, "generate", check)
