"""Secrets of tracking URIs are masked in the URI and in every text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reglab import masking
from reglab.masking import hide_typed_uri, mask_uri, redact, redact_uris, register_secrets
from reglab.schema.errors import ConfigError

SECRET = "s3cr3t-PW"


@pytest.fixture(autouse=True)
def no_known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", {})


URIS = {
    "password": f"http://me:{SECRET}@host:5000",
    "slash": f"http://me:a/{SECRET}@host",
    "at and question mark": f"postgresql://me:a@?{SECRET}@host/lab",
    "no user": f"postgresql://:{SECRET}@host/lab",
    "token": f"https://{SECRET}@host/path",
    "token as user": f"https://{SECRET}:@host/path",
    "percent-encoded": "https://me:s3cr3t%2DPW@host",
    "query": f"http://host?password={SECRET}",
    "query of a database": f"postgresql+psycopg2://host/lab?user=me&sslmode=require&sslpassword={SECRET}",
    "token in the query": f"http://host/path?token={SECRET}&x",
    "bare word in the query": f"http://host/?{SECRET}",
    "access token": f"mysql://host/lab?access_token={SECRET}",
    "key": f"http://host?api_key={SECRET}",
    "any other key": f"http://host?q={SECRET}",
    "signature": f"s3://bucket/x?X-Amz-Signature={SECRET}",
    "fragment": f"http://host/#{SECRET}",
    "semicolon": f"mssql+pyodbc://host:1433;password={SECRET}",
    "sqlite": f"sqlite:////tmp/x.db?key={SECRET}",
    "no scheme": f"me:{SECRET}@host/lab",
}


@pytest.mark.parametrize("uri", URIS.values(), ids=URIS)
def test_a_secret_is_masked_in_every_part_of_a_uri(uri: str) -> None:
    for secret in (SECRET, "s3cr3t%2DPW"):
        assert secret not in mask_uri(uri)
    assert "***" in mask_uri(uri)
    assert mask_uri(mask_uri(uri)) == mask_uri(uri)


@pytest.mark.parametrize("uri", URIS.values(), ids=URIS)
def test_a_secret_is_masked_in_texts(uri: str) -> None:
    register_secrets(uri)
    text = redact(f"cannot reach {uri}/api: login of {SECRET!r} failed, s3cr3t%2DPW, --pw={SECRET}; a{SECRET}z")
    assert text.endswith(f"; a{SECRET}z")  # part of another word
    assert SECRET not in text.removesuffix(f"; a{SECRET}z")
    assert "cannot reach" in text


@pytest.mark.parametrize(
    "uri",
    [
        *("sqlite:////tmp/a@b:c.db", "sqlite:///x.db?timeout=5", "http://127.0.0.1:5000", "mlruns", "databricks"),
        *("postgresql://me@host:5432/lab?sslmode=require", "https://host/a:b@c"),
    ],
)
def test_uris_without_a_secret_are_unchanged(uri: str) -> None:
    assert mask_uri(uri) == uri
    register_secrets(uri)
    assert masking._known == {}


def test_common_words_and_numbers_are_not_masked_in_texts() -> None:
    register_secrets("postgresql://me:lab@host/lab")
    register_secrets("postgresql://me:12345678@host/lab")
    assert redact("lab: test/loss 0.12345678") == "lab: test/loss 0.12345678"
    assert redact("postgresql://me:lab@host/lab") == "postgresql://me:***@host/lab"


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    assert redact(f"false: {SECRET}!") == "false: ***!"


def test_overrides_are_kept_without_secrets() -> None:
    assert redact_uris(["seed=1", f"tracking.uri='http://me:{SECRET}@host'", f"+tracking.uri={SECRET}@host"]) == [
        "seed=1",
        "tracking.uri='http://***@host'",
        f"+tracking.uri={SECRET}@host",
    ]


PG = f"postgresql://me:{SECRET}@host/lab"


@pytest.mark.parametrize(
    ("typed", "after", "uri"),
    [
        ([f"tracking.uri={PG}", "seed=0"], ["tracking.uri=null", "seed=0"], PG),
        ([f"tracking.uri='{PG}'"], ["tracking.uri=null"], PG),
        ([f'+tracking.uri="{PG}"'], ["+tracking.uri=null"], PG),
        ([f"++tracking.uri={PG}"], ["++tracking.uri=null"], PG),
        ([f"tracking.uri=http://me:a,{SECRET}@host"], ["tracking.uri=null"], f"http://me:a,{SECRET}@host"),
        (
            [f"tracking={{experiment:'a, b',uri:'{PG}',weights:none}}"],
            ["tracking={experiment:'a, b',uri:null,weights:none}"],
            PG,
        ),
        ([f"+tracking={{uri: {PG}}}"], ["+tracking={uri:null}"], PG),
        ([f"tracking.uri={PG}", "tracking.uri=sqlite:////tmp/x.db"], ["tracking.uri=sqlite:////tmp/x.db"], None),
        (["tracking.uri=sqlite:////tmp/x.db", f"tracking.uri={PG}"], ["tracking.uri=null"], PG),
        ([f"tracking={{uri:'{PG}1'}}", f"tracking.uri={PG}"], ["tracking={uri:null}", "tracking.uri=null"], PG),
        (
            ["tracking.uri=sqlite:////tmp/x.db", "tracking=local"],
            ["tracking.uri=sqlite:////tmp/x.db", "tracking=local"],
            0,
        ),
    ],
)
def test_a_typed_secret_is_taken_out_of_every_spelling(
    typed: list[str],
    after: list[str],
    uri: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("the arguments are not those of this process"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unset")
    assert hide_typed_uri(["-m", *typed]) == ["-m", *after]
    assert os.environ["MLFLOW_TRACKING_URI"] == (uri or "unset")
    lines = capsys.readouterr().err
    assert SECRET not in lines
    assert lines.count("set MLFLOW_TRACKING_URI") == bool(uri)
    if uri != 0 and sum("uri" in override for override in typed) > 1:  # the note names the replacement
        assert f"is replaced by tracking.uri={mask_uri(uri or 'sqlite:////tmp/x.db')}, which" in lines


@pytest.mark.parametrize("several", [f"{PG},sqlite:///x.db", f"choice('{PG}','{PG}2')", f"['{PG}']"])
@pytest.mark.parametrize("section", [False, True])
def test_several_stores_with_a_secret_are_refused(several: str, section: bool) -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.uri: names several stores"):
        hide_typed_uri([f"tracking={{uri:'{PG}'}},{{uri:a}}" if section else f"tracking.uri={several}"])


HIDES = """
import os, sys
from reglab.masking import hide_typed_uri
line = open("/proc/self/cmdline").read().split(chr(0))[-5:-1]
print(hide_typed_uri(sys.argv[1:]), line, os.environ["MLFLOW_TRACKING_URI"])
"""


def test_a_typed_secret_leaves_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(HIDES)
    line = [sys.executable, "script.py", "-m", f"tracking.uri={PG}1", f"tracking={{uri:'{PG}'}}", "a=b", "seed=0"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=tmp_path)
    after = ["-m", "tracking={uri:null}", "a=b", "seed=0"]
    assert done.stdout == f"{after} {after} {PG}\n"
    assert done.stderr.count("MLFLOW_TRACKING_URI") == 1
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("study.common.tracking.uri=http://u:Xsecret1@h: set it", "study.common.tracking.uri=http://u:***@h: set it"),
        ("{data:wine,tracking.uri:'http://u:Xsecret1@h'}", "{data:wine,tracking.uri:'http://u:***@h'}"),
        ("tracking.ur=https://Xsecret1@h: no such key", "tracking.ur=https://***@h: no such key"),
        ("sqlite:///x?password=Xsecret1&mode=ro: no", "sqlite:///x?password=***&mode=ro: no"),
        ("see http://127.0.0.1:5000/#/experiments/1", "see http://127.0.0.1:5000/#/experiments/1"),
        ("mail me@home or try postgresql://me@db/lab", "mail me@home or try postgresql://me@db/lab"),
    ],
)
def test_unregistered_uris_are_masked_in_texts(text: str, shown: str) -> None:
    assert redact(text) == shown
