"""Classes, variables and files that are named only in the tracking store are not used."""

from pathlib import Path

import pytest

from reglab.config.check_pipeline import check_keys
from reglab.config.compose import compose
from reglab.config.trusted import Typed, apply_typed, check_overrides, check_targets, check_typed, known_targets, typed
from reglab.schema.errors import ConfigError
from tests.errors import check_error, config_error

REFUSED = "a class that is named only in the tracking store is not run; add a YAML for it to conf/"


def test_classes_in_the_config_tree_are_trusted() -> None:
    assert {"reglab.models.MLP", "torch.optim.AdamW"} <= known_targets()
    check_targets(compose(["regularizer=[dropout,l1]", "scheduler=cosine", "data=mnist1d", "model=cnn"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model._target_=os.system", "model._target_"),
        ("+model.parts=[{_target_:os.system}]", "model.parts.0._target_"),
        ("+optimizer.mine={a:{_target_:os.system}}", "optimizer.mine.a._target_"),
        ("+model.twin='${oc.create:{_target_:os.system}}'", "model.twin._target_"),
    ],
)
def test_other_classes_are_refused_in_every_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_targets(compose([override]))
    assert str(caught.value) == f"{key}=os.system: {REFUSED}"
    with pytest.raises(ConfigError) as caught:
        check_overrides(["seed=1", override])
    assert str(caught.value) == f"{override}: {REFUSED}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    [
        "data.name=${oc.env:SECRET}",
        "+data.name=${oc.env:SECRET,x}",
        "++model.args={token:'${oc.env:SECRET}'}",
        "model.hidden_sizes=[8,${oc.decode:'[1]'}]",
        'data.name="a ${oc.env:SECRET} b"',
        "data.name=${oc.env:${seed}}",
        "data.name=$\\{oc.env:SECRET\\}",
        "data.name=$\\{oc.env\\:SECRET\\}",
        "data.name=str($\\{seed\\})",
        "data.split_seed=${seed}",
        "data.name=${hydra:runtime.cwd}",
        "+${seed}=1",
        "model@optimizer=mlp",
        "+data@trainer=digits",
        "+experiment@model=compare",
        "hydra.searchpath=[/tmp/evil]",
        "hydra.job.chdir=true",
        "+hydra/job_logging=default",
        "--config-dir=/tmp/evil",
        "-m",
        "model=../../../../tmp/evil",
        "model=/tmp/evil",
        "regularizer=[l1,../../tmp/evil]",
        "experiment='..\\..\\evil'",
        "",
        "a" * 20_000 + "=1",
        "seed=" + "[" * 5_000,
    ],
)
def test_overrides_that_read_outside_the_config_tree_are_refused_before_composing(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_overrides(["seed=1", override])
    assert "\n" not in str(caught.value)


def test_common_overrides_pass() -> None:
    check_overrides(
        [
            "data=csv", "data.path=/a/my table.csv", "data.target='km/h'", "regularizer=[dropout,l2]",
            "model.target=my_target_net.Net",
            "model.hidden_sizes=[8,8]", "~trainer.gradient_clip_val", "hydra/launcher=joblib",
            "hydra.launcher.n_jobs=2", "+model.args={a:1}",
            "optimizer.lr=1e-3", "data.name='costs 5$'", "experiment=compare", "++tracking.sweep='a/../b'",
        ]
    )  # fmt: skip


@pytest.mark.slow
def test_files_are_read_where_they_are_typed_again(tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text("x,y\n1,2\n")
    run = ["data=csv", "data.path=/there/a b.csv", "data.target=km/h", "data.ignore=[a/b]"]
    with pytest.raises(ConfigError) as caught:
        apply_typed(compose(run), Typed())
    override = "data.path='/there/a b.csv'"
    check_error(caught.value, f"{override}: only in the tracking store")
    assert caught.value.remedy.endswith(f'"{override}"')
    cfg = compose(run)
    apply_typed(cfg, Typed({"data.path": str(tmp_path / "here.csv")}))
    assert cfg.data.path == str(tmp_path / "here.csv")
    with config_error("data.root=x: the run has none"):
        apply_typed(compose(run), Typed({"data.root": "x"}))
    apply_typed(compose(run), Typed(), reads=("model",))  # the data are not read


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "override"),
    [
        (["data=text", "data.path=a.txt", "data.tokenizer=/etc/passwd"], "data.path=a.txt data.tokenizer=/etc/passwd"),
        (["data=idx", "data.root=mnist"], "data.root=mnist"),
        (["data=openml", "data.id=61", "data.cache=/tmp"], "data.cache=/tmp"),
        (["data=huggingface", "data.path=org/name"], "data.path=org/name"),
        (["data=python_docs", "model=hf_causal_lm", "model.path=gpt2"], "model.path=gpt2"),
        (["model=torch", "model.target=my.Net", "data=csv", "data.path=b.csv"], "data.path=b.csv"),
    ],
)
def test_each_file_and_folder_counts(run: list[str], override: str) -> None:
    values = {"model.target": "my.Net"} if "model=torch" in run else {}
    with pytest.raises(ConfigError) as caught:
        apply_typed(compose(run), Typed(values))
    assert str(caught.value).endswith(f"type it: {override}")


def test_arguments_of_a_network_that_name_files_are_typed_again() -> None:
    run = ["model=torch", "model.target=my.Net", "model.args={weights:/etc/passwd,width:3}"]
    with pytest.raises(ConfigError) as caught:
        apply_typed(compose(run), Typed({"model.target": "my.Net"}))
    assert 'type it: "model.args=' in str(caught.value)
    again = compose([*run[:2], run[2].replace("passwd", "shadow")])
    args = {"weights": "/etc/passwd", "width": 3}
    apply_typed(compose(run), Typed({"model.target": "my.Net", "model.args": args}))
    with pytest.raises(ConfigError, match=r"^model.args=.*: the run has "):
        apply_typed(again, Typed({"model.target": "my.Net", "model.args": args}))


def test_text_from_the_run_and_files_of_the_config_tree_need_no_confirmation() -> None:
    for run in (["data=python_docs", "data.tokenizer=bpe", "model=llama"], ["data=mnist1d"], ["data=khan"]):
        apply_typed(compose(run), Typed())


def test_pipelines_record_the_typed_overrides() -> None:
    cfg = compose(["run_id=x", "data.path=a.csv", "code=changed"], "rerun")
    assert typed(cfg) == Typed({"data.path": "a.csv"}, changed=True)
    for pipeline in ("rerun", "evaluate", "export", "generate"):
        with pytest.raises(ConfigError, match=r"^code=maybe: must be one of changed, or null"):
            check_keys(pipeline, compose(["run_id=x", "code=maybe"], pipeline))


@pytest.mark.parametrize(
    "override", ["data.name=${oc.env:SECRET}", "+model.args={a:'${ oc.env:SECRET}'}", "seed=${x:1}"]
)
def test_variables_are_not_read_for_what_is_tracked(override: str) -> None:
    with pytest.raises(ConfigError, match=r"tags and files; give the value"):
        check_typed(["seed=1", override])
    check_typed(["tracking.uri=${oc.env:SECRET}", "hydra.run.dir=${now:%Y}", "data.split_seed=${seed}"])
