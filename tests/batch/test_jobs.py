"""Job files: products that are never laid out, names that never clash, mistakes with their lines, plans in words."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from comfyui_matrixgame.batch.backends.comfyui.workflow import (
    default_workflow,
    fill_workflow,
    for_every_host,
    for_host,
    model_values,
    problems_with_host,
)
from comfyui_matrixgame.batch.jobs import scripts
from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
from comfyui_matrixgame.batch.jobs.output_names import check_names, default_template, parse_template
from comfyui_matrixgame.batch.jobs.products import Product
from comfyui_matrixgame.batch.jobs.scripts import BenchScripts, Script
from comfyui_matrixgame.batch.jobs.settings import JobFile
from comfyui_matrixgame.batch.jobs.start_sources import Start
from comfyui_matrixgame.batch.plan import Measured, make_plan
from comfyui_matrixgame.errors import BatchError
from comfyui_matrixgame.media.video import VideoWriter
from comfyui_matrixgame.variants import VARIANTS
from comfyui_matrixgame.variants.like import _learned

from ..weights.files import generator_tensors, save

NOTHING = Measured(None, {})
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        Image.new("RGB", (128, 64), "red" if name == "a" else "blue").save(tmp_path / f"{name}.png")
    (tmp_path / "walk.mgs").write_text("w 2b\n")
    (tmp_path / "tour.mgs").write_text("w 1b\n---\nleft 2b\n---\n")
    return tmp_path


def write(folder: Path, text: str, name: str = "jobs.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def read(folder: Path, text: str) -> JobFile:
    return read_job_file(write(folder, "size: 128x64\n" + text))


PRODUCT = """
images: ["*.png"]
scripts: [walk.mgs, tour.mgs, {name: still, text: "idle 20f"}, "preset:dolly_in", "bench:7:21"]
seeds: [0..2, 9]
lengths: [2, 2s]
"""


def test_a_product_is_every_combination(folder: Path) -> None:
    jobs = read(folder, PRODUCT)
    assert len(jobs) == 2 * 6 * 4 * 2
    every = list(jobs.jobs())
    assert [jobs.products[0].job(i) for i in range(len(jobs))] == every
    assert len({job.name for job in every}) == len(every)
    assert every[0].name == "a_walk_2b_s0"
    totals = jobs.totals()
    assert sum(t.jobs * t.frames for t in totals) == sum(job.frames for job in every)
    assert sum(t.jobs * t.blocks for t in totals) == sum(job.blocks for job in every)
    assert Counter(job.blocks for job in every) == {2: 48, 5: 48}


def test_inputs_are_cut_or_repeated_to_the_length(folder: Path) -> None:
    jobs = list(read(folder, "images: a.png\nscripts: [walk.mgs]\nlengths: [1, 4]\n").jobs())
    assert [len(job.track()) for job in jobs] == [8, 44]
    assert jobs[1].track().keyboard[:, 0].all()


def test_yaml_json_and_csv_say_the_same(folder: Path) -> None:
    models = "{generator: g, vae: v}"
    yaml = read(folder, f"models: {models}\nname: x_{{seed}}\njobs:\n- {{image: a.png, script: walk.mgs, seed: 3}}\n")
    rows = {"size": "128x64", "models": {"generator": "g", "vae": "v"}, "name": "x_{seed}"}
    rows["jobs"] = [{"image": "a.png", "script": "walk.mgs", "seed": 3}]
    json_file = read_job_file(write(folder, json.dumps(rows, indent="\t"), "jobs.json"))
    head = f"# size: 128x64\n# models: {models}\n\n# name: x_{{seed}}\n\n"
    csv = read_job_file(write(folder, head + "image,script,seed\na.png,walk.mgs,3\n", "jobs.csv"))
    assert list(yaml.jobs()) == list(json_file.jobs()) == list(csv.jobs())
    assert yaml.models.generators == csv.models.generators == {"": "g"}
    assert csv.products[0].line == 7


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("w 8f\n---\nd 8f\n--- third\na 8f\n", ["m.1", "m.2", "third"]),
        ("# two walks\n--- left\nleft 8f\n---\nright 8f\n---\n", ["left", "m.2"]),
        ("--- to the left\nleft 8f\n", ["to-the-left"]),
        ("w 8f\n---\n", ["m"]),
    ],
)
def test_scripts_in_a_file_have_the_names_that_it_gives_them(folder: Path, text: str, names: list[str]) -> None:
    (folder / "m.mgs").write_text(text)
    jobs = list(read(folder, "images: a.png\nscripts: m.mgs\nname: '{script}'\n").jobs())
    assert [job.name for job in jobs] == names
    assert all(one.track() != other.track() for one, other in combinations(jobs, 2))


def test_paths_of_the_command_line_count_from_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, "size: 128x64\nimages: a.png\nscripts: w 9\noutput: out\ncache: cache\n")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    inside, given = read_job_file(path), read_job_file(path, "out", "cache")
    assert (inside.output, inside.cache) == (str(folder / "out"), folder / "cache")
    assert (given.output, given.cache) == (str(Path.cwd() / "out"), Path.cwd() / "cache")
    assert read_job_file(path, "s3://bucket/out").output == "s3://bucket/out"


def test_clips_are_continued(folder: Path) -> None:
    with VideoWriter(folder / "clip.mp4", 64, 128) as writer:
        writer.write(np.zeros((21, 64, 128, 3), np.uint8))
    jobs = read(folder, "clips: [{file: clip.mp4, actions: w 20f}]\nscripts: d 24f\n")
    job = next(jobs.jobs())
    assert (job.start.blocks, job.blocks, job.frames, len(job.track())) == (2, 2, 24, 24)
    with pytest.raises(BatchError, match=r"line 2: clip.mp4 needs 20 rows of inputs, and there are 5"):
        read(folder, "clips: [{file: clip.mp4, actions: w 5f}]\nscripts: d 24f\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imagse: a.png\nscripts: w 9", r"line 2: there is no setting 'imagse'"),
        ("images: a.png\nscripts: w 9\njobs:\n- {sede: 1}", r"line 5: a job has no 'sede'"),
        ("images: c.png\nscripts: w 9", r"line 2: there is no image c.png"),
        ("images: walk.mgs\nscripts: w 9", r"line 2: walk.mgs is .*not a picture"),
        ("images: a.png\nscripts:\n- w 9\n- none.mgs", r"line 5: there is no script file none.mgs"),
        ("images: a.png\nscripts:\n- jump 9", r"line 4: script 'jump-9' cannot be used for universal"),
        ("images: a.png\nscripts: w 9\nvariants: doom", r"line 4: there is no variant 'doom'"),
        ("images: a.png\nscripts: w 9\nseeds: 5..1", r"line 4: the seeds 5..1 run backwards"),
        ("images: a.png\nscripts: w 9\nseeds: [-1]", r"line 4: a seed needs a whole number"),
        ("images: a.png\nscripts: w 9\nlengths: 0", r"line 4: a length is 1 to"),
        ("images: a.png\nscripts: w 9\nseeds: 0..18446744073709551615", r"line 4: a range has at most 1,000,000"),
        ("images: a.png\nscripts: w 9\nseeds: '" + "9" * 5000 + "'", r"line 4: a seed needs a whole number"),
        ("images: a.png\nscripts: bench:0.." + "9" * 24, r"line 3: a range has at most 1,000,000,000,000 seeds"),
        ("images: a.png\nscripts: bench:0..9999999\nseeds: 0..9999999", r"ask for 100,000,000,000,000 jobs"),
        ("images: a.png\nscripts: w 9\nlengths: " + "9" * 400, r"line 4: a length is 1 to"),
        ("images: a.png\nscripts: w 9\nlengths: " + "9" * 400 + "s", r"line 4: a length is 1 to"),
        ("images: a.png\nscripts: w 9\nkeep: gif", r"line 4: what is kept is any of mp4"),
        ("images: a.png\nscripts: w 9\nkeep: []", r"line 4: nothing would be kept"),
        ("images: a.png\nscripts: w 9\noverlay: loud", r"line 4: overlay is one of keys"),
        ("images: a.png\nscripts: w 9\nname: '{frog}'", r"line 4: the name '\{frog\}' has the field"),
        ("images: a.png\nscripts: w 9\nname: ../x", r"line 4: the name '../x' cannot be a file's"),
        ("images: a.png\nscripts: w 9\nname: con", r"keep for themselves"),
        (
            "images: a.png\nscripts: w 9\nseeds: 0..4\nname: x",
            r"5 seeds .* has no \{seed\}",
        ),
        ("images: a.png\nscripts: [w 9, w  9]", r"two of the scripts are called 'w-9'"),
        ("images: a.png\nscripts: w 9\njobs:\n- {name: x}\n- {name: X}", r"lines 5 and 6: two jobs would both be"),
        ("images: a.png\nscripts: w 9\nmodels: {generator: g, vea: v}", r"line 4: models has no 'vea'"),
        ("images: a.png\nscripts: w 9\nversion: 2", r"line 4: this program reads version 1"),
        ("images: a.png\nscripts: w 9\nimages: b.png", r"line 4: 'images' is given twice"),
        ("images: a.png\nscripts: [w 9", r"line \d: .*expected"),
        ("images: &x [*x]\nscripts: w 9", r"line 2: "),
        ("scripts: w 9\nmodels: {generator: g}", r"line 1: a job needs images, or clips"),
        ("images: a.png", r"line 1: a job needs scripts"),
        ("images: a.png\nscripts: w 9\njobs: []", r"line 4: there are no jobs"),
        ("images: a.png\nscripts: w 9\nworlds: 900", r"line 4: at most 64 worlds"),
    ],
)
def test_mistakes_are_found_with_their_lines(folder: Path, text: str, message: str) -> None:
    with pytest.raises(BatchError, match=message):
        read(folder, text)


def test_characters_that_json_writes_in_halves(folder: Path) -> None:
    (folder / "a.png").rename(folder / "😀 smile.png")
    jobs = {"size": "128x64", "images": "😀 smile.png", "scripts": "w 9"}
    (job,) = read_job_file(write(folder, json.dumps(jobs), "jobs.json")).jobs()
    assert job.start.path.endswith("😀 smile.png")
    with pytest.raises(BatchError, match="line 1: this holds half a character"):
        read_job_file(write(folder, json.dumps(jobs | {"images": "\ud83d"}), "jobs.json"))


def test_files_that_are_no_job_files(folder: Path) -> None:
    for name, text, message in (
        ("x.json", '{\n"a": 1\n"b": 2}', r"x.json, line 3: this is not JSON"),
        ("x.csv", "image,script\na.png\n", r"x.csv, line 2: 1 cell for 2 columns"),
        ("x.csv", "\nimage,seed,seed\na.png,1,2\n", r"x.csv, line 2: the column 'seed' is given twice"),
        ("x.txt", "", r"should end in .yaml, .json or .csv"),
    ):
        with pytest.raises(BatchError, match=message):
            read_job_file(write(folder, text, name))
    with pytest.raises(BatchError, match="There is no job file"):
        read_job_file(folder / "none.yaml")
    with pytest.raises(BatchError, match="both sides must be multiples of 16"):
        read_job_file(write(folder, "size: 20x20\n"))


def test_comfyui_servers_are_asked_for_the_loras(folder: Path) -> None:
    models = 'models: {generator: g, vae: v, clip: c, lora: [a.safetensors, "b.safetensors:0.5"]}'
    jobs = read(folder, f"images: a.png\nscripts: w 9f\n{models}\n")
    workflow = fill_workflow(default_workflow(jobs, False, ("mp4",)), {**model_values(jobs, "universal"), "name": "n"})
    chain = [("world", "lora2"), ("lora2", "lora1"), ("lora1", "generator")]
    assert all(workflow[node]["inputs"]["model"] == [before, 0] for node, before in chain)
    asked = [(workflow[f"lora{i}"]["inputs"]["file"], workflow[f"lora{i}"]["inputs"]["strength"]) for i in (1, 2)]
    assert asked == [("a.safetensors", 1.0), ("b.safetensors", 0.5)]


def test_comfyui_servers_of_both_kinds_of_save_video_take_the_workflow(folder: Path) -> None:
    """ComfyUI 0.33.0 needs the codec beside the format; the next one has it in the format."""
    jobs = read(folder, "images: a.png\nscripts: w 9f\n")
    workflow = default_workflow(jobs, False, ("mp4",))
    old = {"required": dict.fromkeys(("video", "filename_prefix", "format", "codec"))}
    new = {"required": dict.fromkeys(("video", "filename_prefix", "format"))}
    others = {node["class_type"]: {"input": {"required": dict.fromkeys(node["inputs"])}} for node in workflow.values()}
    for saving in (old, new):
        info = others | {"SaveVideo": {"input": saving}}
        assert problems_with_host(for_host(workflow, info), info, model_values(jobs, "universal")) == []
    sent = for_every_host(workflow)["video"]["inputs"]
    assert (sent["codec"], sent["format.codec"]) == ("auto", "auto")
    assert for_every_host(default_workflow(jobs, False, ("png",))).keys().isdisjoint({"video"})


def test_without_a_size_jobs_have_the_one_that_the_generator_was_trained_at(folder: Path) -> None:
    def size(text: str) -> tuple[int, int]:
        return read_job_file(write(folder, f"images: a.png\nscripts: w 9f\nmodels: {{{text}, vae: v}}\n")).size

    weights = save(folder / "mine.safetensors", generator_tensors())
    about = {"format": "matrixgame.variant", "version": 1, "like": "universal", "name": "wide", "title": "Wide"}
    assert size("generator: mine.safetensors") == (352, 640)
    described = json.dumps({**about, "size": {"height": 480, "width": 832}})
    weights.with_name("mine.matrixgame.json").write_text(described)
    try:
        assert size("generator: mine.safetensors") == (480, 832)
        with pytest.raises(BatchError, match="line 3: its generators were trained at different sizes; say `size`"):
            size("generator: {universal: g.safetensors, wide: mine.safetensors}")
    finally:
        VARIANTS.pop("wide", None)
        _learned.discard("wide")


def test_a_million_products_are_planned_without_visiting_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    real = Product._job

    def counted(self: Product, *parts: object) -> object:
        nonlocal made
        made += 1
        return real(self, *parts)  # type: ignore[arg-type]

    monkeypatch.setattr(Product, "_job", counted)
    jobs = read(folder, 'images: ["*.png"]\nscripts: bench:0..999\nseeds: 0..499\n')
    plan = make_plan(jobs, None, NOTHING)
    assert plan.count == 1_000_000
    assert plan.frames == 1_000_000 * 597
    assert made < 10
    assert plan.refusal is not None
    assert "--yes" in plan.refusal
    said = "\n".join(plan.lines())
    assert "1,000,000" in said
    assert "unknown: nothing" in said


def test_a_million_products_are_refused_in_words_and_seconds(folder: Path) -> None:
    """The whole command, in CPU time: wall time also counts what else the machine does."""
    path = write(folder, 'images: ["*.png"]\nscripts: bench:0..999\nseeds: 0..499\nsize: 128x64\n')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "comfyui_matrixgame", "batch", "plan", str(path), "--device", "cpu"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "jobs      1,000,000" in said
    assert "Refused: the results need about" in said or "Not started: 1,000,000 jobs" in said
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5


def test_thousands_of_jobs_read_each_text_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also more scripts than are kept in memory; and the folder is asked once for what several jobs name."""
    texts = Mock(side_effect=scripts.rows_of_text)
    looks = Mock(side_effect=scripts.find_files)
    monkeypatch.setattr(scripts, "rows_of_text", texts)
    monkeypatch.setattr(scripts, "find_files", looks)
    lines = [
        f"- {{image: a.png, script: w {1 + n % 5000}f; d {7 + n % 5000}f, seed: {n}, name: j{n}}}" for n in range(6000)
    ]
    jobs = read(folder, "jobs:\n" + "\n".join(lines))
    assert [job.blocks for product in jobs.products for job in product.jobs()][:3] == [1, 2, 2]
    assert sum(total.jobs for total in jobs.totals()) == 6000
    assert texts.call_count == 5000
    assert looks.call_count == 5001


def test_a_plan_says_what_was_measured(folder: Path) -> None:
    jobs = read(folder, "images: a.png\nscripts: w 20f\nseeds: 0..9\nkeep: [mp4]\n")
    plan = make_plan(jobs, None, Measured((30.0, 4), {"mp4": 100.0}), devices=2)
    assert plan.seconds == 10 * 2 * 30.0 / 2
    assert "about 5 min 0 s on 2 devices, from 4 finished jobs" in "\n".join(plan.lines())
    assert plan.disk_measured
    assert plan.refusal is None


LABELS = st.lists(st.text("ab_1", min_size=1, max_size=3), min_size=1, max_size=3, unique=True)
TEMPLATES = st.sampled_from(
    ["{image}_{script}_s{seed}", "{image}{script}{seed}", "{script}/{image}-{seed}", "{seed}_{image}__{script}",
     "{image}_{seed}", "{image}1{seed}", "{script}_{image}"]
)  # fmt: skip


@given(LABELS, LABELS, st.integers(1, 12), TEMPLATES, st.booleans())
@settings(max_examples=300, deadline=None)
def test_clashes_are_found_exactly_where_there_are_any(
    images: list[str], scripts: list[str], seeds: int, template: str, bench: bool
) -> None:
    """The proof from the template agrees with comparing all names."""
    inputs = BenchScripts(range(len(scripts)), 20) if bench else [Script(s, "bench", "1", rows=20) for s in scripts]
    starts = [Start(label, "") for label in images]
    entry = Product(1, ("universal",), starts, [None], inputs, range(seeds), parse_template(template))
    names = [job.name.casefold() for job in entry.jobs()]
    clash = len(set(names)) < len(names)
    try:
        check_names([entry], "file")
    except BatchError:
        assert clash
    else:
        assert not clash


@pytest.mark.parametrize(
    ("label", "template", "message"),
    [
        ("図" * 60, "{image}", ""),
        ("図" * 60, "{image}_{script}", r"names of '\{image\}_\{script\}' have up to 361 bytes, and a disk takes 215"),
        ("図" * 60, "{image}/{script}", ""),
        ("con", "{image}_{script}", ""),
        ("con", "walks/{image}", "would be written as 'con', a name that some systems keep"),
        ("NUL", "{image}.{script}", "would be written as 'nul'"),
        ("on", "c{image}", "would be written as 'con'"),
        ("a", "com{seed}", "would be written as 'com0'"),
    ],
)
def test_names_that_no_disk_takes_are_found_in_planning(label: str, template: str, message: str) -> None:
    axes = (("universal",), [Start(label, "")], [2], [Script(label, "text", "w 9")], range(1))
    entry = Product(1, *axes, parse_template(template))
    with pytest.raises(BatchError, match=message) if message else nullcontext():
        check_names([entry], "file")


def test_a_name_that_is_not_given_tells_all_jobs_apart() -> None:
    axes = (("universal",), [Start("a", ""), Start("b", "")], [2, 3], [Script("w", "text", "w 9")], range(2))
    assert default_template(axes) == "{image}_{script}_{length}_s{seed}"


def test_inputs_are_kept_by_their_bytes_and_not_by_their_number() -> None:
    kept = scripts.KeptInputs(1 << 20)
    texts = [Script(f"s{n}", "text", f"w {20_000 + n}f") for n in range(20)]
    for text in texts:
        assert len(kept.read(text, "universal")[0]) == len(text.track("universal"))
        assert kept.nbytes <= 1 << 20
    first = kept.read(texts[-2], "universal")[0]
    assert kept.read(texts[-2], "universal")[0] is first  # two fit
    assert len(kept.read(Script("long", "text", "w 60000f"), "universal")[0]) == 60_000  # also one that never fits
