"""Lookup of Hugging Face models in the local cache, and pauses of the garbage collector."""

import gc
from pathlib import Path

import pytest
from huggingface_hub import constants

from reglab.garbage import paused_gc
from reglab.hub_cache import find_commit, find_local, is_local_path


@pytest.mark.parametrize(
    ("text", "is_path"),
    [("/a", True), ("./a", True), ("../a", True), ("~/a", True), ("a/b/c", True), ("gpt2", False), ("org/name", False)],
)
def test_paths_differ_from_names(text: str, is_path: bool) -> None:
    assert is_local_path(text) == is_path


def test_a_folder_is_returned_and_a_missing_one_is_none(tmp_path: Path) -> None:
    assert find_local(str(tmp_path)) == tmp_path
    assert find_local(str(tmp_path / "nope")) is None
    assert find_local("org/no-such-model-here") is None
    assert find_local("not a name") is None


def test_the_commit_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40 + "\n")
    assert find_commit("org/name", "models") == "a" * 40
    assert find_commit("org/name", "datasets") is None
    assert find_commit("./org", "models") is find_commit("", "models") is None


def test_garbage_collection_is_paused_in_the_block_only() -> None:
    assert gc.isenabled()
    with paused_gc():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), paused_gc():
        1 / 0  # noqa: B018
    assert gc.isenabled()
    gc.disable()
    try:
        with paused_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
