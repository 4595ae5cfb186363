"""Names of outputs: templates, and the proof that no two jobs get the same one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from string import Formatter

import numpy as np

from ...errors import BatchError
from ...system.files import DEVICES, FORBIDDEN
from ...variants import MOST_BLOCKS
from .products import FIELDS, Job, Product
from .scripts import BenchScripts

ALIASES = {"action": "script", "start": "image", "clip": "image", "blocks": "length"}
MOST_NAMES = 4_000_000  # that are compared one by one, 8 bytes each
_BAD = re.compile(rf"[{re.escape(FORBIDDEN)}\x00-\x1f]")
MOST_BYTES = 215  # of a file's name: disks take 255, and endings come on top
_RESERVED = re.compile(rf"({'|'.join(DEVICES)})(\.|$)", re.IGNORECASE)


def parse_template(text: str) -> str:
    """A template with its fields under their own names; raises BatchError (without a line) for one that cannot be."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise BatchError(f"the name '{text}' has a brace too many or too few ({error}).") from None
    out = []
    for literal, field, spec, conversion in parts:
        out.append(literal.replace("{", "{{").replace("}", "}}"))
        if field is None:
            continue
        full = ALIASES.get(field, field)
        if full not in FIELDS or spec or conversion:
            raise BatchError(
                f"the name '{text}' has the field '{{{field}}}'; use {', '.join('{' + name + '}' for name in FIELDS)}."
            )
        out.append("{" + full + "}")
    name = "".join(out)
    plain = re.sub(r"\{\w+\}", "x", name)
    folders = plain.split("/")
    if not plain.strip() or _BAD.search(plain) or any(part in ("", ".", "..") for part in folders):
        raise BatchError(f"the name '{text}' cannot be a file's; use letters, digits, - _ . and / for folders.")
    if any(_RESERVED.match(part) or part != part.strip(" .") for part in folders):
        raise BatchError(f"the name '{text}' is one that some systems keep for themselves; choose another.")
    return name


def default_template(axes: Sequence[Sequence]) -> str:
    """A name of the axes that have more than one entry, and of image and script in any case."""
    wanted = {field for field, axis in zip(FIELDS, axes, strict=True) if len(axis) > 1} | {"image", "script"}
    order = ("variant", "image", "script", "length", "seed")
    return "_".join(("s" if name == "seed" else "") + "{" + name + "}" for name in order if name in wanted)


def check_names(products: Sequence[Product], file: str) -> None:
    """Raise BatchError where two jobs would be written under one name, or one under a name that no disk takes.

    One product is proven from its template where that can be done; else names are compared, up to MOST_NAMES.
    """
    for product in products:
        _check_fields(product, file)
        for part in product.template.split("/"):
            _check_part(product, part, file)
    left = [_unproven(products[0])] if len(products) == 1 else list(products)
    count = sum(len(product) for product in left)
    if count > MOST_NAMES:
        line = products[0].line
        raise BatchError(
            f"{file}, line {line}: whether {count:,} names differ cannot be seen from the template; put a text between "
            "its fields that no label holds, such as {image}__{script}__{seed}, and use one entry."
        )
    _compare(left, count, file)


def _unproven(product: Product) -> Product:
    """The part of a product whose names must be compared: axes that the template tells apart are cut to one entry."""
    labels = {field: _labels(product, field) for field in FIELDS}
    varying = [field for field in FIELDS if len(product.axes[FIELDS.index(field)]) > 1]
    parts = list(Formatter().parse(product.template))
    fields = [field for _, field, _, _ in parts if field in varying]
    if len(set(fields)) != len(fields) or not all(_distinct(labels[field]) for field in fields):
        return product
    proven = []
    if fields and _ends_name_with_digits(parts, fields[-1], labels):
        proven.append(fields.pop())
    if all(_parted(product.template, a, b, labels) for a, b in pairwise(fields)):
        proven += fields
    plurals = {field: "seeds" if field == "seed" else field + "s" for field in proven} | {"image": "starts"}
    return replace(product, **{plurals[field]: product.axes[FIELDS.index(field)][:1] for field in proven})


def _check_fields(product: Product, file: str) -> None:
    """An axis of several entries that the template leaves out, or whose labels repeat, is a clash for certain."""
    for field, axis in zip(FIELDS, product.axes, strict=True):
        if len(axis) < 2:
            continue
        if "{" + field + "}" not in product.template:
            if field == "length" or (field == "variant" and len(product.lengths) > 1):
                continue  # may differ through others; compared name by name
            raise BatchError(
                f"{file}, line {product.line}: {len(axis):,} {field}s are asked for and the name '{product.template}' "
                f"has no {{{field}}}, so jobs would overwrite each other; add it."
            )
        labels = _labels(product, field)
        if labels is not None and not isinstance(labels, range) and not _distinct(labels):
            twice = next(a for a, b in pairwise(sorted(label.casefold() for label in labels)) if a == b)
            raise BatchError(
                f"{file}, line {product.line}: two of the {field}s are called '{twice}'; give one a name of its own."
            )


def _check_part(product: Product, template: str, file: str) -> None:
    """Refuse what a file or folder of the template cannot be called; no name is laid out for that."""
    most, begun, found = 0, {""}, set()
    for literal, field, _, _ in Formatter().parse(template):
        texts = [literal] if field is None else [literal + label for label in _extremes(product, field)]
        most += max(len(text.encode()) for text in texts)
        stems = {stem + text.casefold() for stem in begun for text in texts}
        found |= {stem.partition(".")[0] for stem in stems if "." in stem}
        begun = {stem for stem in stems if any(name.startswith(stem) for name in DEVICES)}
    taken = sorted((found | begun).intersection(DEVICES))
    where = f"{file}, line {product.line}"
    if taken:
        raise BatchError(
            f"{where}: a job would be written as '{taken[0]}', a name that some systems keep for themselves; change "
            "the name or a label."
        )
    if most > MOST_BYTES:
        raise BatchError(
            f"{where}: names of '{template}' have up to {most} bytes, and a disk takes {MOST_BYTES} of them; shorten "
            "the name, or give pictures and scripts shorter ones of their own."
        )


def _extremes(product: Product, field: str) -> Sequence[str]:
    """The texts that a field stands for, of a range the first ones and the longest."""
    labels = _labels(product, field)
    if labels is None:
        return [f"{MOST_BLOCKS}b"]
    if not isinstance(labels, range):
        return labels
    prefix = "bench" if field == "script" else ""
    return [f"{prefix}{number}" for number in (*labels[:10], labels[-1])]


def _labels(product: Product, field: str) -> Sequence[str] | range | None:
    """The texts that a field stands for; a range for whole numbers in a row; None where they depend on others."""
    axis = product.axes[FIELDS.index(field)]
    if field == "variant":
        return list(axis)
    if field == "image":
        return [start.label for start in axis]
    if field == "script":
        return axis.seeds if isinstance(axis, BenchScripts) else [script.label for script in axis]
    if field == "seed":
        return axis if isinstance(axis, range) else [str(seed) for seed in axis]
    return None if None in axis else [f"{blocks}b" for blocks in axis]


def _distinct(labels: Sequence[str] | range | None) -> bool:
    if labels is None or isinstance(labels, range):
        return labels is not None
    return len({label.casefold() for label in labels}) == len(labels)


def _digits(labels: Sequence[str] | range | None) -> bool:
    return isinstance(labels, range) or (labels is not None and all(label.isdecimal() for label in labels))


def _ends_name_with_digits(parts: list, field: str, labels: dict) -> bool:
    """Whether the field is the run of digits at the end of the name, after something that is no digit."""
    at = next(i for i in reversed(range(len(parts))) if parts[i][1] == field)
    literal = parts[at][0]
    tail = [part for part in parts[at + 1 :] if part[0] or part[1]]
    return not tail and _digits(labels[field]) and bool(literal) and not literal[-1].isdigit()


def _parted(template: str, first: str, second: str, labels: dict) -> bool:
    """Whether a text that no label of the first field holds stands between two fields."""
    between = template.split("{" + first + "}", 1)[1].split("{" + second + "}", 1)[0].casefold()
    between = re.split(r"\{\w+\}", between)[0]
    return bool(between) and _never_in(between, labels[first]) and template.count("{" + first + "}") == 1


def _never_in(text: str, labels: Sequence[str] | range) -> bool:
    """Whether the first character of a text is in none of the labels, so that it ends them."""
    if isinstance(labels, range):
        return text[0] not in "bench0123456789"
    return all(text[0] not in label.casefold() for label in labels)


def _compare(products: Sequence[Product], count: int, file: str) -> None:
    """Compare names by a hash of 8 bytes each; where two agree, find the jobs and say so."""
    hashes = np.fromiter((_hash(job.name) for product in products for job in product.jobs()), np.uint64, count)
    hashes.sort()
    twice = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(twice):
        return
    (one, first), (two, _) = _holders(products, int(twice[0]))
    raise BatchError(
        f"{file}, lines {one} and {two}: two jobs would both be written as '{first.name}'; change the name or a label."
    )


def _holders(products: Sequence[Product], wanted: int) -> list[tuple[int, Job]]:
    def jobs() -> Iterator[tuple[int, Job]]:
        for product in products:
            for job in product.jobs():
                if _hash(job.name) == wanted:
                    yield product.line, job

    found = jobs()
    return [next(found), next(found)]


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.casefold().encode(), digest_size=8).digest(), "little")
