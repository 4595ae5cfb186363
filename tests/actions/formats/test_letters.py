"""Texts as programs save them: every encoding of a script or a table says the same, or a sentence says why not."""

from __future__ import annotations

import codecs
import io
import resource
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_matrixgame.actions.named_scripts import Source, file_source, read_paths
from comfyui_matrixgame.actions.read import load_actions, read_text
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.system.text_files import NotText, decode

SCRIPT = "# Zürich\r\nw 2s\r\nd+left 1s\r\n"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")
FILES = Path(__file__).parents[1] / "files"


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-16-be with a mark"])
def test_every_encoding_says_the_same(tmp_path: Path, encoding: str) -> None:
    mark = codecs.BOM_UTF16_BE if encoding.endswith("mark") else b""
    (tmp_path / "a.mgs").write_bytes(mark + SCRIPT.encode(encoding.split()[0]))
    loaded = load_actions(tmp_path / "a.mgs")
    assert loaded.track == parse_script("w 2s; d+left 1s").track
    assert read_paths([file_source(tmp_path / "a.mgs")], "universal")[0].track == loaded.track
    assumed = {"cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}.get(encoding)
    assert (assumed in loaded.notes[0]) if assumed else not any("UTF" in note for note in loaded.notes)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1),
    st.sampled_from(ENCODINGS[:6]),
)
def test_what_can_be_told_is_told_right(text: str, encoding: str) -> None:
    text = "frame,w\n" + text  # letters alone, such as Chinese ones, do not show their byte order
    assert decode(text.encode(encoding)).text.removeprefix("\ufeff") == text.removeprefix("\ufeff")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_a_sentence(data: bytes) -> None:
    try:
        assert "\0" not in decode(data).text
    except NotText as error:
        assert error.strerror.startswith("it ")  # noqa: PT017


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a.csv is a picture, not inputs"),
        (b"PAR1" + bytes(50), "is a Parquet table; save it as CSV"),
        (b"\x80\x04\x95" + bytes(50), "is a Python pickle, which could run any code"),
        (b"\x1f\x8b\x08" + bytes(50), "is compressed; unpack it first"),
        (b"<!DOCTYPE html><html>", "is a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer, not the file itself"),
        (b"{\\rtf1\\ansi w 12}", "is a Rich Text document; save it as plain text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "is a workbook, not text; save the sheet as CSV UTF-8"),
        (b"\x93NUMPY\x01\x00", "is a NumPy array; let its name end in .npy"),
        ("w 12 # Zürich und Köln".encode() + b"\xfc", "is damaged in line 1, which is not UTF-8 as the rest is"),
        (b"w 12\x00\x00\x00 3", "is not text"),
        (codecs.BOM_UTF16_LE + b"w\x00 \x00\xd8\xd8", "is not text in UTF-8, and only begins as UTF-16"),
        (b"w 12\x81\x90", "is not text in UTF-8"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(ActionError, match=message):
        load_actions(tmp_path / "a.csv")


def test_a_workbook_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv", "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(ActionError, match="is a workbook, not text"):
        load_actions(tmp_path / "a.csv")


def test_half_a_character_is_refused_in_every_text() -> None:
    for text in (
        "w 12 # \ud83d",
        '{"format": "\ud83d"}',
        '{"format": "\\ud83d"}',
        '{"keyboard": {"keys": ["\\ud83d"]}}\n{}',
    ):
        with pytest.raises(ActionError, match=r"half a character|not readable JSON"):
            read_text(text)
    assert read_text('{"keyboard": {"keys": ["\\ud83d\\ude00"]}}').notes == (
        "The key '😀' means nothing to universal.",
    )


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "keyboard_cond.npz")
    for name in ("a.csv", "keyboard_cond.npz"):
        with pytest.raises(ActionError, match="it is a named pipe, not a file"):
            load_actions(tmp_path / name)
    if Path("/dev/zero").exists():
        (tmp_path / "z.json").symlink_to("/dev/zero")
        with pytest.raises(ActionError, match="it is a device, not a file"):
            load_actions(tmp_path / "z.json")
        with pytest.raises(ActionError, match="it is a device, not a file"):
            file_source(tmp_path / "z.json")


# ---- tables


def track_of(text: str) -> object:
    return read_text(text, "universal", "csv").track


PLAIN = "w,s,a,d,pitch,yaw\n1,0,0,0,0,0.05\n0,0,0,1,-0.1,0\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace(",", "\t").replace(".", ","),
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"sep=,"\n' + PLAIN,
        PLAIN.replace("w,s,a,d", "W,S,A,D").replace("yaw", " Yaw "),
        PLAIN.replace("1,0,0,0,", "TRUE,FALSE,FALSE,FALSE,").replace("0,0,0,1,", "falsch,FAUX,no,WAHR,"),
        PLAIN.replace("0.05", '"0,05"').replace("-0.1", '"-0,1"'),
        "# taken in Zürich\n\n" + PLAIN.replace("\n", "\n\n"),
        "# " + PLAIN,
        PLAIN.replace("\n", ",,\n"),
        "yaw,d,a,s,w,pitch\n0.05,0,0,0,1,0\n0,1,0,0,0,-0.1\n",
        "frame|forward|strafe_right|yaw|pitch\n0|1|0|.05|0\n1|0|1|0|\u22120.1\n",
        "time;w;d;yaw;pitch\n1655835000,0;1;0;0,05;0\n1655835000,04;0;1;0;-0,1\n",
        "timestamp,w,d,yaw,pitch\n1655835000000,1,0,0.05,0\n1655835000040,0,1,0,-0.1\n",
        "ms,w,d,yaw,pitch\n0,1,0,0.05,0\n40,0,1,0,-0.1\n",
        "1 0 0 0 0 0.05\n0 0 0 1 -1e-1 0\n",
        '"w","s","a","d","pitch","yaw"\n"1","0","0","0","0","0.05"\n"0","0","0","1","-0.1","0"\n',
        ",w,s,a,d,pitch,yaw\n0,1,0,0,0,0,0.05\n1,0,0,0,1,-0.1,0\n",
    ],
)
def test_tables_of_spreadsheets_say_the_same(text: str) -> None:
    assert track_of(text) == track_of(PLAIN)
    assert read_text(text, "universal").track == track_of(PLAIN), "recognised without being told"


def test_files_of_excel_and_notepad() -> None:
    wanted = None
    for path in sorted(FILES.glob("*.csv")):
        loaded = load_actions(path)
        held, turned = loaded.track.keyboard, loaded.track.mouse
        assert held[:, 0].all(), path.name
        np.testing.assert_allclose(turned, np.tile([0, 0.05], (len(turned), 1)), atol=1e-6)
        wanted = wanted or loaded.track
    notes = load_actions(FILES / "ansi.csv").notes
    assert "Windows-1252" in notes[0]
    assert "'bemerkung für spieler' means nothing" in notes[1]
    assert load_actions(FILES / "notepad_utf16.mgs").track == parse_script("w 2s; d 1s").track


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jump,crouch\n1,0", r"None of the table's columns \('jump', 'crouch'\) means anything to universal"),
        ("w,yaw\n1,TRUE", "Row 2 .*column yaw: 'TRUE' is not a number"),
        ("w,s\n1,0\n\n# so\n1,2,3", "Row 5 of the table has 3 values"),
        ("w;yaw\n1;1.000,5", "'1.000,5' is not a number"),
        ("w,yaw\n1,nan", "not a number"),
        ("w,yaw\n1,1_0", "not a number"),
        ("time,w\n0,1\n-1,0", "Row 3 of the table: time -1 does not follow"),
        ('w,s\n"1,0\n' + "1,0\n" * 40_000, "cannot be read: field larger"),
        ("w," + "x" * 30_000, "more than 20000 characters"),
        ("," * 1500 + "w\n1", "more than 1000 columns"),
        ("w,s\n" + "1" * 140_000 + ",0", "more than 20000 characters"),
        ("sep=;", "empty|no rows|None of"),
    ],
)
def test_tables_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        track_of(text)


def test_what_a_table_holds_without_effect_is_said() -> None:
    loaded = read_text("w,forward,jump,,yaw\n0,1,1,9,0.1", "universal", "csv")
    assert loaded.track.keyboard[0].tolist() == [1, 0, 0, 0]
    assert loaded.notes == (
        "Two columns are 'w'; either of them holds it.",
        "The column 'jump' means nothing to universal.",
        "A column without a name was left out.",
    )


# ---- limits


def cpu(call: object) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    call()  # type: ignore[operator]
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


LARGE = {
    "table.csv": lambda: "w,s,a,d,pitch,yaw\n" + "1,0,0,0,0.05,-0.05\n" * 840_000,
    "blank.csv": lambda: "w\n" + "1\n\n" * 200_000,
    "one.csv": lambda: "w\n" + "1," * 8_000_000,
    "deep.json": lambda: '{"tracks": {"yaw": [' + "[0, 0.1]," * 5_000_000 + "]}}",
    "flat.json": lambda: "[" + "1," * 20_000_000 + "1]",
    "nested.json": lambda: "[" * 5_000_000,
    "keys.jsonl": lambda: '{"keyboard": {"keys": ["key.keyboard.w"]}, "mouse": {"dx": 0, "dy": 0}}\n' * 300_000,
    "line.jsonl": lambda: '{"keyboard": {"keys": ["' + "w" * 20_000_000 + '"]}}\n{}',
    "walk.mgs": lambda: "w 1\n" * 5_000_000,
    "empty.txt": lambda: "\n" * 40_000_000,
    "path.txt": lambda: "1 0 0 0 0 1 0 0 0 0 1 0\n" * 600_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LARGE[name]())

    def refused() -> None:
        with pytest.raises(ActionError):
            load_actions(tmp_path / name)

    assert cpu(refused) < 1


def test_what_is_piped_in_is_read_in_any_encoding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ..command import call

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SCRIPT.encode("utf-16")), "ascii"))
    assert call("check", "-") == 0
    assert "-: script, universal, 75 rows" in capsys.readouterr().out


def test_a_text_in_any_place_is_of_the_same_format(tmp_path: Path) -> None:
    """The text of a file has the file's format too: in a node, in a job file, piped in."""
    for path in FILES.iterdir():
        if path.suffix in (".txt", ".json"):
            text = decode(path.read_bytes()).text
            assert read_text(text).track == load_actions(path).track, path.name
            assert read_paths([Source(text, "one")], "universal")[0].track == load_actions(path).track


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("frame\tw\n0\t1\n999\t0\n1,000\t1\n", 1001),
        ("frame;w\n0;1\n1.000;0\n2.000;1\n", 2001),
        ("frame;w\n0;1\n12.345;0\n", 12346),
        ("frame,w\n0.000,1\n1.000,0\n2.000,1\n", 3),  # of a program that writes all numbers so
        ("time;w\n0;1\n1,000;0\n", 26),  # seconds have such fractions
    ],
)
def test_frames_whose_digits_are_grouped(text: str, rows: int) -> None:
    """Row 1,000 used to be read as row 1."""
    assert len(read_text(text, kind="csv").track) == rows
