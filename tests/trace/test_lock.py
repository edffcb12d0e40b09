from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ragguard.errors import IndexFileError
from ragguard.trace.lock import sole_writer

HOLD = """
import sys, time
from pathlib import Path
from ragguard.trace.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with sole_writer(tmp_path):
        with pytest.raises(IndexFileError, match="another process is writing"), sole_writer(tmp_path):
            pass
    with sole_writer(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_the_lock_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(IndexFileError, match="another process"), sole_writer(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    with sole_writer(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexFileError, match="cannot be written"), sole_writer(tmp_path / "file"):
        pass
