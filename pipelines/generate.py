"""Lets a tracked decoder go on with a text: python pipelines/generate.py prompt="Call me Ishmael, he said," """

import sys

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import announce_imports, run_app
from reglab.config.keys import check_keys
from reglab.config.run_id import check_run_id
from reglab.streams import note
from reglab.tracking.place import resolve

_KEY = "prompt="
PROMPT = ""


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    check_keys("generate", cfg)
    check_run_id(cfg.run_id)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Streams the text that goes on with `PROMPT` to standard output."""
    announce_imports()
    from reglab.inference.answer import answer

    answer(cfg, PROMPT)


if __name__ == "__main__":
    # A prompt is text, and neither Hydra's grammar nor a config's: ${HOME} and ??? mean something to these.
    prompts = [argument.removeprefix(_KEY) for argument in sys.argv[1:] if argument.startswith(_KEY)]
    if len(prompts) > 1:
        note("prompt: is given twice; leave one out")
        sys.exit(2)
    PROMPT = "".join(prompts)
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith(_KEY)]
    run_app(main, "generate", check)
