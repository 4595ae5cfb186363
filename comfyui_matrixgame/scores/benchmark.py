"""The published benchmark's actions: 76 films of each picture, one action held through each, named
`{prefix}_{action}.mp4`; what a variant can do of them, and the inputs that such a name stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from ..actions.read import Loaded, read_text
from ..errors import ActionError
from ..variants import Key, Variant, get_variant

ROWS = 56  # of a film of 57 frames: five blocks, and no more than the benchmark's lists have
BURST = 8  # rows between attack and no attack, as in the benchmark's lists
MOVES = ("forward", "back", "left", "right")
TURNS = {
    "camera_up": ("up",), "camera_down": ("down",), "camera_l": ("left",), "camera_r": ("right",),
    "camera_ul": ("up", "left"), "camera_ur": ("up", "right"), "camera_dl": ("down", "left"),
    "camera_dr": ("down", "right"),
}  # fmt: skip
WORDS = {  # what a key that does it may be called, or mean
    "forward": ("forward",), "back": ("back", "backward", "reverse"), "left": ("strafe_left", "step left"),
    "right": ("strafe_right", "step right"), "jump": ("jump",), "attack": ("attack",),
}  # fmt: skip
_NUMBERED = re.compile(r"\d+_(?:test_)?(?P<action>.+)")


@dataclass(frozen=True)
class Action:
    """One of the benchmark's. keys: of WORDS, held. turns: left, right, up, down."""

    name: str
    keys: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()

    def problem(self, variant: Variant) -> str:
        """Why a variant cannot do it; "" where it can."""
        missing = [word for word in self.keys if key_of(variant, word) is None]
        if missing:
            return f"no key for {' and '.join(missing)}"
        axes = {"pitch" if turn in ("up", "down") else "yaw" for turn in self.turns}
        if axes - set(variant.camera.axes):
            return f"no camera that turns {' or '.join(sorted(axes - set(variant.camera.axes)))}"
        return "one key at a time" if variant.exclusive and len(self.keys) > 1 else ""

    def script(self, variant: Variant, rows: int = ROWS) -> str:
        """Its inputs as a script; attack comes and goes. Raises ActionError where the variant cannot do it."""
        if why := self.problem(variant):
            raise ActionError(f"{variant.name} cannot do {self.name}: {why}.")
        keys = {word: key.name for word in self.keys if (key := key_of(variant, word))}
        steady = "+".join([name for word, name in keys.items() if word != "attack"] + list(self.turns)) or "idle"
        if "attack" not in keys:
            return f"{steady} {rows}"
        burst = "+".join([keys["attack"], *(() if steady == "idle" else (steady,))])
        steps = [
            f"{burst if start // BURST % 2 else steady} {min(BURST, rows - start)}" for start in range(0, rows, BURST)
        ]
        return "; ".join(steps)


def _actions() -> tuple[Action, ...]:
    turns = [Action(name, (), held) for name, held in TURNS.items()]
    keys = [Action(word, (word,)) for word in (*MOVES, "jump", "attack")]
    both = [Action(f"{key.name}_{turn.name}", key.keys, turn.turns) for key in keys for turn in turns]
    steps = [Action(f"{on}_{side}", (on, side)) for on in MOVES[:2] for side in MOVES[2:]]
    more = [Action(f"{move}_{word}", (move, word)) for move in (*MOVES, "jump") for word in ("jump", "attack")]
    found = [Action("empty"), *keys, *turns, *both, *steps, *(action for action in more if action.name != "jump_jump")]
    return tuple(sorted(found, key=lambda action: action.name))


ACTIONS = {action.name: action for action in _actions()}


def action_of(name: str, numbered: bool = True) -> Action | None:
    """The action in a film's name. numbered: only behind a number, as the benchmark names its films; else behind
    anything."""
    stem = PurePath(name).stem
    if numbered:
        found = _NUMBERED.fullmatch(stem)
        return ACTIONS.get(found["action"]) if found else None
    parts = stem.split("_")
    return next((ACTIONS[tail] for i in range(len(parts)) if (tail := "_".join(parts[i:])) in ACTIONS), None)


def inputs_of_action(action: Action, variant: Variant, frames: int) -> Loaded:
    """The inputs that an action stands for, in a film of so many frames, whichever model made it. What the variant has
    no key for is left out, and said; raises ActionError where nothing is left."""
    able = Action(action.name, tuple(word for word in action.keys if key_of(variant, word)), action.turns)
    left_out = [word for word in action.keys if word not in able.keys]
    if left_out and not able.keys and not able.turns:
        raise ActionError(f"{variant.name} has no key for {' and '.join(left_out)}, the action in its name.")
    loaded = read_text(able.script(variant, max(1, frames - 1)), variant)
    notes = [f"Its inputs are those of the action {action.name} in its name, as {variant.name} has them."]
    notes += [f"{variant.name} has no key for {word}, which is left out." for word in left_out]
    return Loaded(loaded.track, "name", notes=tuple(notes))


def action_jobs(name: str) -> str:
    """The text of a job file that renders the benchmark's films with a variant."""
    variant = get_variant(name)
    possible = [action for action in ACTIONS.values() if not action.problem(variant)]
    left_out: dict[str, list[str]] = {}
    for action in ACTIONS.values():
        if why := action.problem(variant):
            left_out.setdefault(why, []).append(action.name)
    said = [f"#   {why}: {', '.join(names)}" for why, names in left_out.items()]
    return "\n".join(
        (
            f"{MARK}: `matrixgame batch run` this, then `matrixgame score` its",
            "# output or hand it to the benchmark's own tools, which want films named NUMBER_ACTION.mp4: name the",
            "# pictures by number (0000.png, 0001.png, ...).",
            f"# {len(possible)} of its {len(ACTIONS)} actions; {variant.name} leaves out:",
            *said,
            "# Its lists hold 65 rows, turned by 5 degrees each; these hold 56, turned as fast as the model was tried.",
            f"variants: [{variant.name}]",
            "# images: [pictures/*.png]    # and models: without both, the demo world",
            'name: "{image}_{script}"',
            "scripts:",
            *(f'  - {{name: {action.name}, text: "{action.script(variant)}"}}' for action in possible),
            "seeds: 0",
            "keep: [mp4]",
            "output: actions",
            "",
        )
    )


MARK = "# Films of the published benchmark's actions"


def key_of(variant: Variant, word: str) -> Key | None:
    """The key of a variant that does what a word of WORDS says; None where it has none."""
    return next((k for k in variant.controls if {k.name, *k.aliases, k.means} & set(WORDS[word])), None)
