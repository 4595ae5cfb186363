"""The script language `.mgs`: input as text, one line per change.

    script    = { sep } { directive { sep } } { statement sep }
    directive = "@" ("version"|"variant"|"fps"|"speed"|"unit"|"length") value
    statement = marker | seed | repeat | at | lanes | step
    marker    = ":" ( name | string ) [ "at" duration ] [ "pin" ]
    seed      = "seed" int [ "at" duration ]                    other noise, from the block of that row on
    repeat    = ( "repeat" int | int "x" ) "{" { statement sep } "}"
    at        = "at" duration                                  idle until that time
    lanes     = { ("keys"|"cam"|"yaw"|"pitch") ":" step { "," step } newline }    side by side; a lane that the
                group already has begins the next group; a line that ends with "," goes on
    step      = duration chord | chord [ duration ] | chord "-" number      w-3 is 3 latent frames
    chord     = action { "+" action }                           without a duration: one block
    action    = key | "idle" | ("up"|"down"|"left"|"right") [ "(" num ")" ]
              | ("yaw"|"pitch") "(" ramp ")" | "look" "(" ramp "," ramp ")"        look(yaw, pitch)
    ramp      = num [ ("->"|"..") num ] [ "linear"|"smooth"|"in"|"out" ]
    num       = [ "+"|"-" ] number [ "deg" ]                    15deg is 1
    duration  = number [ "f"|"l"|"b"|"s"|"ms" ]                 the unit touches the number: 12 s is 12 frames of s
    sep       = newline | ";" | ","        comment = "#" to the end of the line

Words may be written in capitals. Keys and their other names are in `vocabulary`; left and right are the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...variants import Variant, get_variant
from ..document import Marker, Timeline
from ..track import ActionTrack
from .lexer import ScriptWarning, normalise, too_much_text
from .parser import Parser, statements_or_none
from .plain_steps import plain_steps
from .to_timeline import write_timeline


@dataclass(frozen=True)
class Script:
    """A script that was read.

    frames: rows that the script asks for: the sum of its steps, or its `@length`.
    document: the timeline, filled with idle rows up to 9 + 12 n. warnings: what may disappoint, in the order of
    the text.
    """

    document: Timeline
    frames: int
    warnings: tuple[ScriptWarning, ...]

    @property
    def variant(self) -> Variant:
        return self.document.variant

    @property
    def markers(self) -> tuple[Marker, ...]:
        return self.document.markers

    @property
    def track(self) -> ActionTrack:
        """Exactly the rows that the script asks for, without the filling."""
        return self.document.track(self.frames)


def rows_of_script(text: str, variant: Variant) -> int:
    """How many rows a script asks for; raises ScriptError as `parse_script` does."""
    plain = plain_steps(normalise(text), variant, statements_or_none)
    return sum(step.frames for step in plain) if plain is not None else parse_script(text, variant).frames


def parse_script(text: str, variant: Variant | str | None = None) -> Script:
    """Read a script; raises ScriptError (line, column, hint) at the first fault.

    variant: what the script is for; a script whose `@variant` says otherwise is refused. None: what `@variant`
    says, or the default. No script, however nested, makes more than MAX_FRAMES rows.
    """
    refused = too_much_text(text)
    if refused is not None:
        raise refused
    wanted = get_variant(variant) if isinstance(variant, str) else variant
    parser = Parser(normalise(text), wanted)
    statements = parser.read()
    timeline, frames = write_timeline(parser, statements, text)
    ordered = sorted(parser.warnings, key=lambda w: (w.line, w.column))
    return Script(timeline, frames, tuple(ordered))
