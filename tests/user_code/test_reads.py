"""Files and environment variables read by user code are refused unless the config names them."""

from pathlib import Path

import pytest

from reglab.schema.errors import ConfigError, Setting
from reglab.user_code.reads import check_reads
from tests.errors import config_error

WHERE = Setting("model.target", "net.Net")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.txt").write_text("1")
    return tmp_path


def test_a_file_that_is_read_is_refused_with_the_argument_to_name_it() -> None:
    with config_error("model.target=net.Net: w.txt ... model.args={file:w.txt}"), check_reads(WHERE, []):
        Path("w.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("named", ["w.txt", "./w.txt", "."])
def test_a_file_that_a_value_names_passes(named: str) -> None:
    with check_reads(WHERE, [{"nested": [named]}]):
        Path("w.txt").read_text()


def test_files_that_the_block_writes_and_those_of_the_system_pass() -> None:
    with check_reads(WHERE, []):
        Path("made.txt").write_text("1")
        Path("made.txt").read_text()
        Path("w.txt").open("a").close()
        Path("/proc/self/status").read_text()


def test_hidden_folders_pass(folder: Path) -> None:
    (folder / ".cache").mkdir()
    (folder / ".cache" / "kernel.txt").write_text("1")
    with check_reads(WHERE, []):
        Path(".cache/kernel.txt").read_text()


def test_reads_outside_the_block_are_ignored() -> None:
    with check_reads(WHERE, []):
        pass
    Path("w.txt").read_text()


def test_an_inner_block_does_not_report_to_the_outer_one() -> None:
    with check_reads(WHERE, []):
        with pytest.raises(ConfigError), check_reads(WHERE, []):
            Path("w.txt").read_text()
        Path("made.txt").write_text("1")


def test_an_error_of_the_block_is_raised_unchanged() -> None:
    def fail() -> None:
        Path("w.txt").read_text()
        raise KeyError

    with pytest.raises(KeyError), check_reads(WHERE, []):
        fail()
