"""Files and folders are checked before they are opened."""

import gzip
import os
import re
import socket
import struct

import pytest

from reglab.config.compose import compose
from reglab.config.identity import config_hash
from reglab.data import Csv, Huggingface, Idx, ImageFolder, Text, tokenizer
from reglab.data.files import check_file, check_folder, memory_bytes, stem
from reglab.schema.errors import ConfigError


def refusal(path) -> str:
    with pytest.raises(ConfigError) as caught:
        check_file(path if path is None else str(path))
    return str(caught.value)


def test_good_files_pass(tmp_path):
    for name in ("a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.pq", "A.CSV"):
        (tmp_path / name).touch()
        check_file(str(tmp_path / name))


def test_no_path():
    assert "data.path=null: required" in refusal(None)


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "wine.csv").touch()
    assert f"no such file; did you mean {tmp_path / 'wine.csv'}?" in refusal(tmp_path / "wien.csv")
    assert f"did you mean {tmp_path / 'wine.csv'}?" in refusal(tmp_path / "wine.parquet")
    assert "no such file in" in refusal(tmp_path / "unlike.csv")


def test_a_missing_folder(tmp_path):
    assert f"there is no folder {tmp_path / 'nowhere'}" in refusal(tmp_path / "nowhere" / "wine.csv")


def test_folders_and_unknown_suffixes(tmp_path):
    assert "is a folder; give one file in it" in refusal(tmp_path)
    (tmp_path / "wine.xlsx").touch()
    assert "unknown suffix; give one of .csv" in refusal(tmp_path / "wine.xlsx")


@pytest.mark.parametrize(("path", "name"), [("a/wine.csv", "wine"), ("wine.v2.CSV.gz", "wine.v2"), ("w.parquet", "w")])
def test_the_stem_goes_without_its_suffix(path, name):
    assert stem(path) == name


def special(folder, kind):
    """Make a path that is not a regular file, and return it."""
    path = folder / "x.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            before = os.getcwd()
            os.chdir(folder)  # names of sockets are short
            server.bind("x.csv")
            os.chdir(before)
    elif kind == "loop":
        path.symlink_to("x.csv")
    elif kind == "broken":
        path.symlink_to("gone.csv")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(memory_bytes() + 1)
    else:
        path.symlink_to(kind)
    return path


SPECIAL = {
    "pipe": "is a named pipe (FIFO)",
    "socket": "is a socket",
    "loop": "is a broken link (to x.csv)",
    "broken": "is a broken link (to gone.csv)",
    "huge": f"has {memory_bytes() / 2**30:.1f} GiB, more than this machine's memory",
    "/dev/zero": "is a character device",
    "/dev/null": "is a character device",
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "problem"), SPECIAL.items())
def test_pipes_devices_and_broken_links_are_refused(tmp_path, kind, problem):
    path = special(tmp_path, kind)
    seeds = {"seed": 0, "split_seed": 0}
    for make in (
        lambda: Csv(path=str(path), target="y", **seeds),
        lambda: Text(path=str(path), **seeds).setup(),
        lambda: check_file(str(path)),
    ):
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value).startswith(f"data.path={path}: {problem}")
    if kind in ("pipe", "socket", "/dev/zero", "/dev/null"):
        for words in ("data=csv data.target=y data.path", "data=huggingface data.path", "data=text data.tokenizer"):
            (tmp_path / "t.txt").write_text("text")
            *overrides, key = words.split()
            cfg = compose([*overrides, f"{key}={path}", *["data.path=t.txt"] * ("tokenizer" in key)])
            with pytest.raises(ConfigError, match=f"^{key}={path}: {re.escape(problem)}"):
                config_hash(cfg)
        with pytest.raises(ConfigError, match=f"^data.tokenizer={path}: {re.escape(problem)}"):
            tokenizer.read_tokenizer(str(path), "data.tokenizer")
    with pytest.raises(ConfigError, match=f"^data.root={path}: "):
        check_folder(str(path))


def test_files_in_folders_are_checked_before_they_are_opened(tmp_path):
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte is a named pipe"):
        Idx(root=str(tmp_path), seed=0, split_seed=0).setup()
    (tmp_path / "train-images-idx3-ubyte").rename(tmp_path / "x.csv")
    with pytest.raises(ConfigError, match=r"x.csv is a named pipe"):
        Huggingface(path=str(tmp_path), seed=0, split_seed=0).setup()
    (tmp_path / "cat").mkdir()
    (tmp_path / "x.csv").rename(tmp_path / "cat" / "x.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "y.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"cat/x.png is a named pipe"):
        ImageFolder(root=str(tmp_path), seed=0, split_seed=0).setup()


def test_only_the_declared_size_of_a_packed_file_is_read(tmp_path):
    header = b"\0\0\x08\x03" + struct.pack(">III", 2, 2, 2)
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(header + bytes(2**26))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 2) + b"\0\1")
    with pytest.raises(ConfigError, match=r"9 bytes for the shape \(2, 2, 2\)"):
        Idx(root=str(tmp_path), seed=0, split_seed=0).setup()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    (tmp_path / "x.csv").touch(mode=0)
    assert "no permission" in refusal(tmp_path / "x.csv")
