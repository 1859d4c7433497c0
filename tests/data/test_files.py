"""What a path alone tells."""

import pytest

from reglab.data.files import check_file, stem
from reglab.errors import ConfigError


def refusal(path) -> str:
    with pytest.raises(ConfigError) as caught:
        check_file(path if path is None else str(path))
    return str(caught.value)


def test_good_files_pass(tmp_path):
    for name in ("a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.pq", "A.CSV"):
        (tmp_path / name).touch()
        check_file(str(tmp_path / name))


def test_no_path():
    assert "data.path=null: give the file" in refusal(None)


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
    assert "unknown suffix; known are .csv" in refusal(tmp_path / "wine.xlsx")


@pytest.mark.parametrize(("path", "name"), [("a/wine.csv", "wine"), ("wine.v2.CSV.gz", "wine.v2"), ("w.parquet", "w")])
def test_the_stem_goes_without_its_suffix(path, name):
    assert stem(path) == name
