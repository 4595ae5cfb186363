"""Job files as people and spreadsheets write them: scalars as written, patterns, encodings, and what is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from PIL import Image

from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.batch.jobs import start_sources
from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
from comfyui_matrixgame.batch.jobs.models import files_for
from comfyui_matrixgame.batch.jobs.patterns import find_files
from comfyui_matrixgame.batch.jobs.settings import JobFile
from comfyui_matrixgame.batch.plan import Measured, make_plan
from comfyui_matrixgame.batch.results.store import check_writable
from comfyui_matrixgame.errors import BatchError

FILES = Path(__file__).parents[1] / "actions" / "files"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (128, 64), "red").save(tmp_path / "a.png")
    return tmp_path


def read(folder: Path, text: str | bytes, name: str = "jobs.yaml") -> JobFile:
    if isinstance(text, str):
        text = (text if name.endswith((".json", ".csv")) else "size: 128x64\n" + text).encode()
    (folder / name).write_bytes(text)
    return read_job_file(folder / name)


# ---- scalars


WRITTEN = (
    "007",
    "010",
    "1.10",
    "1e3",
    "1:30",
    "0x1F",
    "2026-11-29",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "=",
    "1_000",
    "'~'",
    ".5",
)


@pytest.mark.parametrize("word", WRITTEN)
def test_names_are_what_is_written(folder: Path, word: str) -> None:
    (job,) = read(folder, f"images: a.png\nscripts: [{{name: {word}, text: w 9}}]\nname: '{{script}}'\n").jobs()
    plain = word.strip("'")
    assert job.name == {"=": "unnamed", "~": "unnamed", ".5": "5", "1:30": "1-30"}.get(plain, plain)


@pytest.mark.parametrize(
    ("setting", "seeds"),
    [("0100", [100]), ("[007, 8]", [7, 8]), ("'012'", [12]), ("0100..0103", [100, 101, 102, 103]), ("1_000", [1000])],
)
def test_seeds_are_decimal(folder: Path, setting: str, seeds: list[int]) -> None:
    jobs = read(folder, f"images: a.png\nscripts: w 9\nseeds: {setting}\nname: 'x{{seed}}'\n")
    assert [job.seed for job in jobs.jobs()] == seeds
    table = read(
        folder,
        "\n".join(["# size: 128x64", "image,script,seed,name", *(f"a.png,w 9,0{s},x{s}" for s in seeds)]),
        "j.csv",
    )
    assert [job.seed for job in table.jobs()] == seeds


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lengths: 1:30", "line 4: a length is blocks, or such as 5b, 10s or 250f; got '1:30'"),
        ("lengths: 1e3", "got '1e3'"),
        ("lengths: yes", "got 'true'|got 'yes'"),
        ("seeds: 1e3", "a seed needs a whole number of 0 or more, got '1e3'"),
        ("seeds: 0x10", "a seed needs a whole number"),
        ("seeds: 1.0", "a seed needs a whole number of 0 or more, got '1.0'"),
        ("seeds: on", "a seed needs a whole number"),
        ("seeds: " + "9" * 5000, r"a seed needs a whole number of 0 or more, got '9{80} \.\.\.'"),
        ("worlds: " + "9" * 5000, "worlds needs a whole number"),
        ("version: 01", "this program reads version 1"),
        ("output: ~", "output needs text, got nothing; in YAML ~ alone is nothing, so put it in quotes"),
        ("output: ~nobodyxyz/o", "line 4: ~nobodyxyz has no home folder here"),
        ("cache: ~nobodyxyz", "line 4: ~nobodyxyz has no home folder here"),
        ("name: !!python/object:os.system x", "has no tags such as tag:yaml.org,2002:python"),
        ("name: !x y", "has no tags such as !x"),
        ("? [a, b]\n: c", "line 4: a name is text"),
    ],
)
def test_values_that_cannot_be_meant(folder: Path, setting: str, message: str) -> None:
    with pytest.raises(BatchError, match=message):
        read(folder, f"images: a.png\nscripts: w 9\n{setting}\n")


def test_sizes_of_any_number_of_digits(folder: Path) -> None:
    for size in ("9" * 5000 + "x16", "16x" + "9" * 400, "1e3x16", "99999999x16"):
        with pytest.raises(BatchError, match=r"size is WIDTHxHEIGHT|not possible|multiples of 16"):
            read_job_file(write(folder, f"size: {size}\nimages: a.png\nscripts: w 9\n"))


def write(folder: Path, text: str, name: str = "jobs.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"a":' * 3000),
        ("b.json", '{"seeds": ' + "[" * 900 + "1" + "]" * 900 + "}"),
        ("c.yaml", "a: " + "[" * 5000),
        ("d.yaml", "\n".join(" " * n + "a:" for n in range(1500))),
        ("e.json", '{"seeds": ' + "9" * 5000 + "}"),
        ("f.csv", 'image,script\n"' + "x" * 140_000 + '",w 9\n'),
        ("g.csv", "image,script\n" + "a.png,w 9\n" * 250_000),
        ("i.yaml", "images: " + "x" * 5000 + ".png\nscripts: w 9\n"),
        ("j.yaml", "images: a.png\nscripts: " + "x" * 500 + ".mgs\n"),
        ("k.yaml", "size: 128x64\n" * 700_000),
        ("l.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\nscripts: *d\nimages: *d\n"),
    ],
)
def test_hostile_job_files_end_in_a_sentence(folder: Path, name: str, text: str) -> None:
    with pytest.raises(BatchError, match=name.replace(".", r"\.")):
        read_job_file(write(folder, text, name))


def test_names_that_no_disk_takes(folder: Path) -> None:
    long = "x" * 5000
    jobs = read(folder, f"models: {{generator: {long}, vae: {long}, clip: {long}}}\nimages: a.png\nscripts: w 9\n")
    with pytest.raises(BatchError, match=r"line 2: .*(too long|no file|not exist|x{40})"):
        files_for(jobs, "universal", torch.device("cpu"))


# ---- spreadsheets


TABLE = "image,script,seed,name\na.png,w 9,3,one\na.png,d 9,4,two\n"


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode(),
        TABLE.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
        TABLE.replace(",", "\t").encode("utf-16"),
        ("sep=;\n" + TABLE.replace(",", ";")).encode("cp1252"),
        ('"sep=;"\n' + TABLE.replace(",", ";")).encode(),
        TABLE.replace("\n", ",,\n").encode(),
        TABLE.replace("w 9", '"w 4\nw 5"').encode(),
        ("# keep: [mp4, inputs],,,\n# name: x,,,\n\n" + TABLE).encode(),
        ('"# keep: [mp4, inputs]",,,\n' + TABLE).encode(),
    ],
)
def test_tables_of_jobs_as_spreadsheets_save_them(folder: Path, data: bytes) -> None:
    jobs = read(folder, data, "jobs.csv")
    assert [(job.name, job.seed, len(job.script.track("universal"))) for job in jobs.jobs()] == [
        ("one", 3, 9),
        ("two", 4, 9),
    ]


def test_a_workbook_is_named(folder: Path) -> None:
    with pytest.raises(BatchError, match="is a picture, not inputs"):
        read(folder, (folder / "a.png").read_bytes(), "jobs.csv")


def test_what_was_assumed_is_in_the_plan(folder: Path) -> None:
    (folder / "große.mgs").write_bytes("# Größe\nw 9\n".encode("cp1252"))
    (folder / "table.csv").write_text("w,jump\n1,1\n")
    jobs = read(folder, "images: a.png # für\nscripts: [große.mgs, table.csv]\n".encode("cp1252"))
    assert len(jobs) == 2
    assert [note.split(" (")[0] for note in jobs.notes] == [
        "jobs.yaml is not UTF-8",
        "große: große.mgs is not UTF-8",
        "table: The column 'jump' means nothing to universal.",
    ]
    lines = make_plan(jobs, None, Measured(None, {})).lines()
    assert any("note      table: The column 'jump'" in line for line in lines)


# ---- paths and pictures


def test_brackets_are_names_first_and_patterns_else(folder: Path) -> None:
    inside = folder / "shots [2026]"
    inside.mkdir()
    for name in ("a[1].png", "a1.png", "a2.png", "b.png"):
        shutil.copy(folder / "a.png", inside / name)
    for pattern, names in (
        ("shots [2026]/*.png", ["a1.png", "a2.png", "a[1].png", "b.png"]),
        ("shots [2026]/a[1].png", ["a[1].png"]),
        ("shots [2026]/a[12].png", ["a1.png", "a2.png"]),
        ("shots [2026]/?.png", ["b.png"]),
        ("*/a1.png", ["a1.png"]),
        ("**/b.png", ["b.png"]),
        ("shots [2027]/*.png", []),
        ("shots [2026]", ["shots [2026]"]),
        ("shots*/../*.png", ["a.png"]),
    ):
        assert [path.name for path in find_files(pattern, folder)] == names, pattern
        assert [path.name for path in find_files(str(folder / pattern), Path("/"))] == names, pattern
    jobs = read(folder, 'images: ["shots [2026]/a[1].png", "shots [2026]/b.png"]\nscripts: w 9\nname: "{image}"\n')
    assert [job.name for job in jobs.jobs()] == ["a-1", "b"]


def test_patterns_walk_no_whole_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up = "../" * len(folder.parts)
    for pattern in ("/**/*.png", "/tmp/../**/x.png", up + "**/*.png", "//**"):
        with pytest.raises(BatchError, match=r"line 2: .* looks through the whole disk; name the folder"):
            read(folder, f"images: '{pattern}'\nscripts: w 9\n")
    monkeypatch.setattr("comfyui_matrixgame.batch.jobs.patterns.MOST_ENTRIES", 50)
    for name in range(60):
        (folder / f"{name}.txt").touch()
    with pytest.raises(BatchError, match="looks through more than 50 files"):
        read(folder, "images: '**/*.png'\nscripts: w 9\n")


def test_one_bad_picture_leaves_the_others(folder: Path) -> None:
    pictures = folder / "in"
    pictures.mkdir()
    for name in ("a.png", "c.png"):
        shutil.copy(folder / "a.png", pictures / name)
    (pictures / "b.jpg").write_bytes(b"\xff\xd8\xff" + b"junk" * 20)
    Image.new("RGB", (4, 4)).save(pictures / "d.png")
    for images in ("in", "in/*.*g"):
        jobs = read(folder, f"images: {images}\nscripts: w 9\nname: '{{image}}'\n")
        assert [job.name for job in jobs.jobs()] == ["a", "c"]
        assert [note.split(" ")[:3] for note in jobs.notes if note.startswith("Left out")] == [
            ["Left", "out:", "b.jpg"], ["Left", "out:", "d.png:"],
        ]  # fmt: skip
    with pytest.raises(BatchError, match=r"line 2: b\.jpg "):
        read(folder, "images: [a.png, in/b.jpg]\nscripts: w 9\n")
    for name in ("a.png", "c.png"):
        (pictures / name).unlink()
    with pytest.raises(BatchError, match=r"line 2: none of the 2 pictures of in can be used; the first: "):
        read(folder, "images: in\nscripts: w 9\n")


def test_what_lies_in_a_folder_without_being_a_picture_is_said(folder: Path) -> None:
    pictures = folder / "pics"
    pictures.mkdir()
    Image.new("RGB", (128, 64)).save(pictures / "saved.jfif", "JPEG")
    Image.new("RGB", (128, 64)).save(pictures / "X.PNG")
    for name in ("notes.txt", "film.mp4", ".DS_Store", "Thumbs.db"):
        (pictures / name).write_text("x")
    (pictures / "more").mkdir()
    jobs = read(folder, "images: pics\nscripts: w 9\n")
    assert len(jobs) == 2
    assert jobs.notes == ("pics: no pictures and left out: film.mp4, more/, notes.txt.",)
    shutil.rmtree(pictures)
    pictures.mkdir()
    with pytest.raises(BatchError, match=r"line 2: there is no picture in the folder pics"):
        read(folder, "images: pics\nscripts: w 9\n")


# ---- scripts


def test_scripts_of_a_job_are_read_like_those_of_a_node(folder: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "cp1252"):
        (folder / "walk.mgs").write_bytes("--- ä\r\nw 9\r\n---\r\nd 9\r\n".encode(encoding))
        jobs = read(folder, "images: a.png\nscripts: walk.mgs\nname: '{script}'\n", f"{encoding}.yaml")
        assert [job.name for job in jobs.jobs()] == ["ä", "walk.2"]
    for path in FILES.iterdir():
        shutil.copy(path, folder / path.name)
    names = [path.name for path in FILES.iterdir() if path.suffix in (".json", ".txt", ".npz")]
    jobs = read(folder, f"images: a.png\nscripts: {json.dumps(names)}\n")
    assert len(jobs) == len(names) > 5
    (job,) = read(folder, 'images: a.png\nscripts: {name: x, text: "w-3, right-1", format: hy}\n').jobs()
    assert len(job.script.track("universal")) == 16
    assert job.script.track("universal") != parse_script("w-3, right-1").track
    with pytest.raises(BatchError, match="line 3: there is no format 'doc'; use timeline, script, csv"):
        read(folder, "images: a.png\nscripts: {text: w 9, format: doc}\n")


def test_script_files_have_a_limit(folder: Path) -> None:
    with (folder / "walk.mgs").open("wb") as file:
        file.truncate(80 << 20)
    with pytest.raises(BatchError, match=r"line 3: walk\.mgs cannot be read: it has more than 64 MiB"):
        read(folder, "images: a.png\nscripts: walk.mgs\n")
    (folder / "walk.mgs").unlink()
    import os

    os.mkfifo(folder / "walk.mgs")
    with pytest.raises(BatchError, match=r"line 3: walk\.mgs cannot be read: it is a named pipe"):
        read(folder, "images: a.png\nscripts: walk.mgs\n")


def test_merge_keys_take_over_what_is_not_said(folder: Path) -> None:
    first = "  - &a {scripts: [w 1b], seeds: 1}\n"
    text = f"images: [a.png]\nname: '{{seed}}'\njobs:\n{first}  - {{<<: *a, seeds: 2}}\n  - seeds: 3\n    <<: [*a]\n"
    (folder / "jobs.yaml").write_text(text)
    assert [job.seed for job in read_job_file(folder / "jobs.yaml").jobs()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("images: [a.png]\nscripts: !!python/object/apply:os.system [id]", "line 2: a job file has no tags"),
        ("images: [a.png]\nscripts: [*none]", "line 2: there is no &none"),
        ("images: &a [*a]\nscripts: [w 9]", "line 1: this refers to itself"),
        ("images: [a.png]\nscripts: [w 9]\n---\nimages: [a.png]", "line 3: a second document begins here"),
        ("images: [a.png]\nscripts: [w 9]\njobs:\n  - {<<: 3}", "What << takes over needs"),
    ],
)
def test_yaml_that_is_no_job_file(folder: Path, text: str, says: str) -> None:
    (folder / "jobs.yaml").write_text(text)
    with pytest.raises(BatchError, match=says):
        read_job_file(folder / "jobs.yaml")


def test_a_picture_is_looked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Mock(wraps=start_sources.check_picture)
    monkeypatch.setattr(start_sources, "check_picture", looked)
    text = "name: '{seed}'\njobs:\n" + "".join(f"  - {{images: a.png, scripts: w 9, seeds: {n}}}\n" for n in range(20))
    (folder / "jobs.yaml").write_text(text)
    assert len(read_job_file(folder / "jobs.yaml")) == 20
    assert looked.call_count == 1
    Image.new("RGB", (10, 10)).save(folder / "a.png")
    with pytest.raises(BatchError, match="10x10"):
        read_job_file(folder / "jobs.yaml")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
def test_results_where_nothing_can_be_written(folder: Path) -> None:
    """Permissions alone do not tell: root has all of them."""
    (folder / "jobs.yaml").write_text("images: [a.png]\nscripts: [w 9]\noutput: /proc/results")
    with pytest.raises(BatchError, match=r"cannot be written to /proc/results: .*; name another folder"):
        check_writable(read_job_file(folder / "jobs.yaml").output)
