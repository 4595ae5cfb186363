"""Files on users' disks: pipes and devices are refused at once, what is written appears whole."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from comfyui_matrixgame.system import files
from comfyui_matrixgame.system.files import (
    NotARegularFile,
    TooLarge,
    check_regular,
    open_regular,
    read_bytes,
    take_place,
    written_whole,
)

POSIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="This system has no named pipes.")


@POSIX
@pytest.mark.timeout(10)
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path, word in [("pipe", "named pipe"), ("socket", "socket"), (".", "folder"), ("/dev/zero", "device")]:
            for look in (open_regular, check_regular):
                with pytest.raises(NotARegularFile) as error:
                    look(tmp_path / path)
                assert word in str(error.value.strerror)


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    for name in ("none.txt", "with\0nul", "x" * 300):
        with pytest.raises(OSError) as error:  # noqa: PT011  any kind: systems differ
            open_regular(tmp_path / name)
        assert error.value.strerror


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_bytes(tmp_path / "file", 10) == b"x" * 10
    with pytest.raises(TooLarge, match="9 bytes"):
        read_bytes(tmp_path / "file", 9)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / ("long " + "ü" * 120)
    path.write_text("old")
    with contextlib.suppress(KeyboardInterrupt), written_whole(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with written_whole(path, sync=True) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@POSIX
def test_others_may_read_it_though_a_library_made_it_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o022)
    try:
        with written_whole(path) as part:
            part.unlink()
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@POSIX
def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "out").symlink_to(tmp_path / "theirs")
    with written_whole(tmp_path / "out") as part:
        part.write_text("ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "out").is_symlink()


MANY = """
import sys; from pathlib import Path; from comfyui_matrixgame.system.files import written_whole
sys.stdin.readline()
for _ in range(1500):
    with written_whole(Path(sys.argv[1])) as part:
        part.write_text("whole")
"""


def test_processes_that_write_the_same_file_leave_each_other_alone(tmp_path: Path) -> None:
    """None sweeps what another has just begun."""
    command = [sys.executable, "-c", MANY, str(tmp_path / "out")]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [""] * 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    write = (
        "import os, signal, sys; from pathlib import Path; from comfyui_matrixgame.system.files import written_whole\n"
        f"with written_whole({str(path)!r}) as part:\n"
        "    part.write_text('half'); (part.parent / '.tmp').write_text('of a library')\n"
        "    print(part, flush=True)\n"
        "    sys.stdin.readline()"
    )
    killed, living = (
        subprocess.Popen([sys.executable, "-c", write], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    parts = []
    for process in (killed, living):
        assert process.stdout is not None
        parts.append(Path(process.stdout.readline().strip()))
    killed.kill()
    killed.wait()
    (tmp_path / ".other.safetensors.0123abcd.part").mkdir()  # of another file, or another program
    (tmp_path / ".out.safetensors.0123abcd.part").write_text("of a version that made no folders")
    with written_whole(path) as part:
        part.write_text("whole")
    assert [part.exists() for part in parts] == [False, True]
    assert living.communicate("\n", timeout=30)[0] == ""
    assert living.returncode == 0
    assert path.read_text() == "half"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.safetensors.0123abcd.part", path.name]


def test_what_a_scanner_has_open_on_windows_is_renamed_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, out = tmp_path / "part", tmp_path / "out"
    part.write_text("new")
    slept: list[float] = []
    replace = os.replace

    def refused(part: Path, path: Path) -> None:
        if len(slept) < 3:
            raise PermissionError(13, "Access is denied", str(part))
        replace(part, path)

    monkeypatch.setattr(files.time, "sleep", slept.append)
    monkeypatch.setattr(os, "replace", refused)
    for pauses in ((), (0.1, 0.2)):  # elsewhere, where it is no scanner; and for longer than one takes
        monkeypatch.setattr(files, "_PAUSES", pauses)
        with pytest.raises(PermissionError):
            take_place(part, out)
        assert slept == list(pauses)
        slept.clear()
    monkeypatch.setattr(files, "_PAUSES", (0.1, 0.2, 0.3, 0.4))
    take_place(part, out)
    assert (out.read_text(), slept) == ("new", [0.1, 0.2, 0.3])
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(FileNotFoundError):  # no other error is waited for
        take_place(part, out)
    assert len(slept) == 3
