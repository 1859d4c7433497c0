"""README and docs: commands, keys, modules, files and links exist; the reference lists all stable names."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import reglab
from docs import reference
from docs.index import METRICS_PAGE, with_metrics
from reglab.cli import prepare_arguments
from reglab.config.check_run import check
from reglab.paths import CONF, PROJECT
from reglab.report.render import csv_files
from reglab.schema.keys import PIPELINES, RUN, STUDY, TRAINER
from reglab.schema.metrics import CHOOSING, RUN_METRICS
from tests.conftest import Compose

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(PROJECT)): page.read_text(encoding="utf-8") for page in PAGES}
REFERENCE = TEXTS["docs/reference.md"]
SET_BY_SWEEPS = ("parent", "phase", "sweep", "study", "tuned", "rerun_of")
# Names that other programs rely on, by section of the reference.
STABLE = {
    "Commands": "help setup compare test lint bench train sweep study report status ui rerun generate evaluate export",
    "Config groups": "data model regularizer optimizer scheduler trainer tracking experiment study",
    "Tags": """strategy data model seed split_seed config_hash phase single sweep tune confirm parent study git_commit
        mlflow.parentRunId split_hash init_hash order_hash diverged diverged_step heartbeat owner rerun_of rerun_equal
        task rows test_rows double_counting no_effect not_averaged remark data_remark not_finite out_of_memory
        identity_rule code unknown_code error git_dirty""",
    "Params": "data model optimizer optimizer.lr seed regularizer.<name>.<strength>",
    "Metrics": """train/loss train/penalty val/loss train/accuracy val/accuracy val/rmse val/perplexity test/loss
        test/accuracy test/balanced_accuracy test/ece test/rmse test/r2 test/perplexity gap/loss time/train_s
        time/step_ms model/parameters model/zero_fraction val/bits_per_character test/bits_per_character mc_dropout/...
        time/epochs best/step best/val/... train/added_loss strength/<name>.<strength> model/norm/<weight>
        model/sharpness test/f1_macro test/auroc test/average_precision test/log_likelihood test/brier test/mae
        test/exact_match""",
    "Artifacts": """config.yaml overrides.yaml environment.json weights/best.safetensors weights/last.safetensors
        error.txt tokenizer.json mc_dropout.csv study.json declared.json report/ weights_hash files inputs.json""",
    "Status of a run": "FINISHED FAILED KILLED",
    "Report files": """report.html leaderboard.csv pairwise.csv interactions.csv tuning.csv strategy n mean std ci_low
        ci_high diff diff_low diff_high p p_holm rank seconds verdict reason""",
    "Keys of a run": """data.split_seed data.train_size data.label_noise data.batch_size data.val_fraction
        data.test_fraction data.path data.target data.kind data.standardize data.root data.name data.split_column
        data.split_by data.ignore model.hidden_sizes model.norm task.class_weights task.loss task.huber_delta
        l1.strength l2.strength elastic_net.l1 elastic_net.l2 weight_decay.strength dropout.p max_norm.max_norm
        label_smoothing.epsilon mixup.alpha input_noise.std sam.rho early_stopping.monitor linear_warmup""",
    "Keys of other commands": "prompt run_id max_new_tokens temperature generation.seed code=changed",
}


def section(title: str) -> str:
    """Return the text of the reference below a heading, up to the next heading of the same level."""
    return REFERENCE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("title", STABLE)
def test_the_reference_has_the_stable_names(title: str) -> None:
    text = section(title)
    missing = [name for name in STABLE[title].split() if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]
    assert missing == []


def test_generated_parts_are_up_to_date() -> None:
    assert reference.page(REFERENCE) == REFERENCE, "make index"
    metrics = METRICS_PAGE.read_text(encoding="utf-8")
    assert with_metrics(metrics) == metrics, "make index"


def test_the_reference_has_every_key() -> None:
    internal = {f"tracking.{key}" for key in SET_BY_SWEEPS}
    keys = {key for key in RUN if not key.endswith(("._target_", ".name")) or key == "sweep.name"} - internal
    keys |= {f"trainer.{key}" for key in TRAINER} | set(STUDY) | {key for keys in PIPELINES.values() for key in keys}
    assert {key for key in keys if not re.search(rf"`\+?{re.escape(key)}`", REFERENCE)} == set()
    assert {key for key in internal if key not in REFERENCE} == set()


def test_the_reference_has_every_metric_and_column() -> None:
    columns = {*csv_files.LEADERBOARD, *csv_files.PAIRWISE, *csv_files.INTERACTIONS, *csv_files.TUNING}
    explained = set(re.findall(r"`(\w+)`", section("Report files").split("| column |")[1]))
    assert columns - explained == set()
    assert {name for name in (*CHOOSING, *RUN_METRICS) if f"`{name}`" not in section("Metrics")} == set()


def written_tags() -> Iterator[str]:
    """Yield the names of tags in calls that set them."""
    for file in Path(reglab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("set_tags", "add_tags", "set_tag", "_record"):
                named = [key for argument in node.args if isinstance(argument, ast.Dict) for key in argument.keys]
                named += node.args[1:2] if called in ("set_tag", "_record") else []
                yield from (n.value for n in named if isinstance(n, ast.Constant) and isinstance(n.value, str))


@pytest.mark.slow
def test_the_reference_has_every_tag_that_the_code_sets() -> None:
    tags = set(written_tags())
    assert {"remark", "rerun_equal", "error", "test_rows"} <= tags
    assert {tag for tag in tags if f"`{tag}`" not in section("Tags")} == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["regularizer=[dropout,l2]", "+regularizer.dropout.schedule.p={kind:late,since:1}", "data=breast_cancer"],
        ["optimizer=sgd", "optimizer.lr=1e30"],
    ],
    ids=["finished", "diverged"],
)
def test_the_reference_has_all_names_that_a_run_tracks(
    compose_cfg: Compose, store_uri: str, overrides: list[str]
) -> None:
    from reglab.schema.errors import Diverged
    from reglab.tracking import queries
    from reglab.tracking.store import open_store
    from reglab.training.run import run

    try:
        run(compose_cfg("trainer=fast", *overrides))
    except Diverged:
        assert "optimizer=sgd" in overrides
    store = open_store(store_uri, "reglab")
    (record,) = queries.runs(store)
    assert {tag for tag in record.tags if f"`{tag}`" not in section("Tags")} == set()
    general = {"model/norm/": "model/norm/<weight>", "strength/": "strength/<name>.<strength>"}
    for name in record.metrics:
        shown = next((pattern for start, pattern in general.items() if name.startswith(start)), name)
        assert f"`{shown}`" in section("Metrics")
    files = [entry.path for entry in store.client.list_artifacts(record.run_id)]
    assert {file for file in files if file not in section("Artifacts")} == set()


# Names on the pages


def code_of(text: str) -> Iterator[str]:
    """Yield the code of a page: lines of blocks, and text in backticks."""
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from (line for line in prose.splitlines() if line.startswith("    "))
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose))


@pytest.mark.parametrize("page", TEXTS)
def test_commands_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for code in code_of(TEXTS[page]) for name in re.findall(r"\bmake ([a-z]+)\b", code)}
    assert named - targets == set()


@pytest.mark.parametrize("page", TEXTS)
def test_files_exist(page: str) -> None:
    pattern = r"(?<![\w/.-])(?:src|conf|docs|tests|pipelines|benchmarks)/[\w./-]*\w/?(?![\w<*])"
    named = {path for code in code_of(TEXTS[page]) for path in re.findall(pattern, code)}
    kept = {path for path in named if "NAME" not in path and not path.startswith("benchmarks/results")}
    assert {path for path in kept if not (PROJECT / path).exists()} == set()


@pytest.mark.parametrize("page", TEXTS)
def test_modules_and_their_members_exist(page: str) -> None:
    for code in code_of(TEXTS[page]):
        for dotted in re.findall(r"(?<![\w./:-])reglab(?:\.\w+)+", code):
            if "NAME" in dotted:
                continue
            parts = dotted.split(".")
            module: Any = reglab
            for number, part in enumerate(parts[1:], 2):
                try:
                    module = getattr(module, part)
                except AttributeError:
                    module = importlib.import_module(".".join(parts[:number]))
    for block in re.findall(r"```python\n(.*?)```", TEXTS[page], re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reglab":
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


SECTIONS = r"(?:data|model|task|optimizer|scheduler|trainer|tracking|study|regularizer|generation|ui|sweep|report)"
FILE_NAMES = {"model.safetensors", "report.html", "study.json"}
EXAMPLE_KEYS = re.compile(r"(regularizer\.<|optimizer\.amsgrad)")


@pytest.mark.parametrize("page", TEXTS)
def test_keys_exist(page: str) -> None:
    named = {
        key.rstrip(".")
        for code in code_of(TEXTS[page])
        for key in re.findall(rf"(?<![\w./:<-]){SECTIONS}\.[a-z_<][\w.<>]*(?![\w(])", code)
        if "import " not in code
    }
    missing = set()
    for key in {key.removeprefix("study.common.").removeprefix("study.space.") for key in named} - FILE_NAMES:
        plain = re.sub(r"^(regularizer\.\w+)\.schedule\.", r"\1.", key)
        start = re.sub(r"\.(low|high|log)$", "", plain)
        if f"{start}`" not in REFERENCE and f"{start}." not in REFERENCE and not EXAMPLE_KEYS.search(key):
            missing.add(key)
    assert missing == set()


@pytest.mark.parametrize("page", TEXTS)
def test_options_of_groups_exist(page: str) -> None:
    groups = {path.name: {option.stem for option in path.glob("*.yaml")} for path in CONF.iterdir() if path.is_dir()}
    for code in code_of(TEXTS[page]):
        for group, value in re.findall(
            rf"(?<![\w./:+{{-])({'|'.join(groups)})=(\[[\w,]*\]|[a-z]\w*(?:,[\w\[\],]+)?)", code
        ):
            chosen = yaml.safe_load(f"[{value}]")
            flat = [name for item in chosen for name in (item if isinstance(item, list) else [item])]
            assert [name for name in flat if name not in groups[group]] == [], code


MY_NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, outputs):
        super().__init__(nn.Flatten(), nn.LazyLinear(outputs))
"""
COMMANDS = sorted(
    {
        (target, arguments)
        for page, text in TEXTS.items()
        for code in code_of(text)
        if not page.startswith("docs/regularizers/")  # the commands of cards are those of conf/, which have a test
        for target, arguments in re.findall(r'make (train|sweep|study|report|status|export) ARGS="([^"]*)"', code)
    }
)
EXTERNAL = ("ADDRESS", "HOST", "FOLDER", "FILE", "submitit")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "arguments"), [command for command in COMMANDS if not any(word in command[1] for word in EXTERNAL)]
)
def test_configs_of_commands_are_valid(
    target: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_net.py").write_text(MY_NET)
    for name, head in {"mine.csv": "a,label", "songs.csv": "a,happy,loud,fast"}.items():
        rows = [",".join([str(i), *(str(i % 2) for _ in head.split(",")[1:])]) for i in range(40)]
        (tmp_path / name).write_text("\n".join([head, *rows]))
    app = "train" if target == "sweep" else target
    multirun = ["--multirun"] if target in ("sweep", "study") else []
    prepare_arguments([*multirun, *shlex.split(arguments)], app, check if target == "train" else None)


# Links


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub generates for headings."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    folder = (PROJECT / page).parent
    for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", TEXTS[page]):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else PROJECT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link
