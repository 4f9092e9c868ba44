"""Make MIDI audible: continuations as one hears them, rendered with FluidSynth where installed.

    python training/evaluation/continuations/sound.py CONTINUATIONS --out FOLDER --count 10

The first so many continuations of a folder, unselected: for each a MIDI file and a sound file that
begin some seconds before the cut, with the model's continuation and with the pianist's.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from tqdm import tqdm

from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, write_performance
from training.evaluation.continuations.folder import Continuation, load_continuations

BEFORE_S = 12.0
GAIN = "0.8"  # of real piano music, the loudest then peaks near 0.8 of full scale
SAMPLE_RATE = "44100"
LONGEST_RENDERING_S = 600
SOUND_FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
PREFERRED = ("fluidr3_gm.sf2", "default.sf2", "default-gm.sf2", "default.sf3", "default-gm.sf3")
FORMATS = {  # of libsndfile, by the ending of the file
    ".ogg": ("-T", "oga"),  # Vorbis; -O knows only formats of samples
    ".flac": ("-T", "flac", "-O", "s16"),
    ".wav": ("-T", "wav", "-O", "s16"),
}
INSTALL = "apt-get install fluidsynth fluid-soundfont-gm"


class NoSynthesizer(PerformerError, LookupError):
    """FluidSynth or a soundfont is not installed."""


@dataclass(frozen=True, slots=True)
class Synthesizer:
    """What turns MIDI into sound."""

    program: str
    soundfont: Path


def find_synthesizer(soundfont: Path | None = None) -> Synthesizer:
    """Find FluidSynth and a soundfont: the one given, $SOUNDFONT, or one of the distribution.

    Raises NoSynthesizer, whose message says what to install, and PerformerError when the named
    soundfont is not there.
    """
    program = shutil.which("fluidsynth")
    if program is None:
        raise NoSynthesizer(f"no sound: fluidsynth is not installed ({INSTALL})")
    named = soundfont or (Path(os.environ["SOUNDFONT"]) if os.environ.get("SOUNDFONT") else None)
    if named is not None:
        if not named.is_file():
            raise PerformerError(f"{named}: no such soundfont; name a file *.sf2 or *.sf3")
        return Synthesizer(program, named)
    found = installed_soundfonts([Path(folder) for folder in SOUND_FOLDERS])
    if not found:
        raise NoSynthesizer(
            f"no sound: no soundfont (*.sf2, *.sf3) in {', '.join(SOUND_FOLDERS)}; "
            f"{INSTALL}, or name one in $SOUNDFONT"
        )
    return Synthesizer(program, found[0])


def installed_soundfonts(folders: Sequence[Path]) -> list[Path]:
    """Return the soundfonts in some folders, the likeliest to hold a good piano first."""
    found = [
        path
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in (".sf2", ".sf3") and path.is_file()
    ]

    def place(path: Path) -> int:
        name = path.name.lower()
        return PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)

    return sorted(found, key=place)


def render(midi: Path, sound: Path, synthesizer: Synthesizer) -> None:
    """Render a MIDI file to .ogg, .flac or .wav, atomically.

    Raises PerformerError when the format is unknown or FluidSynth fails.
    """
    if sound.suffix not in FORMATS:
        raise PerformerError(f"{sound}: the formats are {', '.join(FORMATS)}")
    with atomic_path(sound) as partial:
        command = [synthesizer.program, "-n", "-i", "-q", "-g", GAIN, "-r", SAMPLE_RATE]
        command += ["-o", "synth.chorus.active=0", *FORMATS[sound.suffix], "-F", str(partial)]
        command += [str(synthesizer.soundfont), str(midi)]
        try:
            done = subprocess.run(  # noqa: S603 - arguments are ours
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=LONGEST_RENDERING_S,
            )
        except subprocess.TimeoutExpired as error:
            raise PerformerError(
                f"{midi}: fluidsynth took more than {LONGEST_RENDERING_S} s"
            ) from error
        if done.returncode or not partial.exists() or not partial.stat().st_size:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise PerformerError(f"{midi}: fluidsynth could not render it: {said[0]}")


def listening_parts(
    primer: Sequence[TimedEvent],
    answer: Sequence[TimedEvent],
    cut_s: float,
    before_s: float = BEFORE_S,
) -> tuple[list[TimedEvent], list[TimedEvent]]:
    """Return the last seconds of a primer and the answer to it, on one clock from 0 s.

    A pedal that is down at the cut, and in the answer from its beginning, stays down between.
    """
    start_s = max(0.0, cut_s - before_s)
    heard: list[TimedEvent] = []
    pedal = False
    sounding: set[int] = set()
    for time_s, event in primer:
        if isinstance(event, Pedal):
            pedal = event.down
        if time_s < start_s:
            continue
        if not heard and pedal and not isinstance(event, Pedal):
            heard.append(TimedEvent(0.0, Pedal(True)))
        if isinstance(event, NoteOn):
            sounding.add(event.pitch)
        elif isinstance(event, NoteOff) and event.pitch not in sounding:
            continue
        heard.append(TimedEvent(time_s - start_s, event))
    if heard and pedal and list(answer[:1]) != [TimedEvent(0.0, Pedal(True))]:
        heard.append(TimedEvent(cut_s - start_s, Pedal(False)))
    return heard, [TimedEvent(cut_s - start_s + time_s, event) for time_s, event in answer]


def write_listening(folder: Path, each: Continuation, before_s: float = BEFORE_S) -> list[Path]:
    """Write what is to be heard of a continuation as MIDI: the model's, then the pianist's."""
    primer = each.primer()
    paths = []
    for side, answer in (("model", each.model), ("human", each.human)):
        heard, played = listening_parts(primer, answer, each.item.cut_s, before_s)
        path = folder / f"{each.item.number:03d}-{side}.mid"
        # One channel: under the pedal the strings of the primer ring on into the answer.
        tracks = [Track("primer", 0, tuple(heard)), Track(side, 0, tuple(played))]
        write_performance(path, tracks)
        paths.append(path)
    return paths


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("continuations", type=Path, help="folder of continuations")
    parser.add_argument("--out", type=Path, required=True, help="folder for MIDI and sound")
    parser.add_argument("--count", type=int, default=10, help="the first so many (default 10)")
    parser.add_argument("--before", type=float, default=BEFORE_S, help="seconds of the primer")
    parser.add_argument("--format", default="ogg", choices=[name[1:] for name in FORMATS])
    parser.add_argument("--soundfont", type=Path, help="default: $SOUNDFONT, or an installed one")
    options = parser.parse_args(arguments)
    try:
        chosen = load_continuations(options.continuations)[: options.count]
        midis = [
            path for each in chosen for path in write_listening(options.out, each, options.before)
        ]
        sys.stdout.write(f"{options.out}: {len(midis)} MIDI files\n")
        try:
            synthesizer = find_synthesizer(options.soundfont)
        except NoSynthesizer as error:
            sys.stdout.write(f"{error}\n")  # MIDI can be heard elsewhere: no failure
            return 0
        for midi in tqdm(midis, desc="rendering", unit="file"):
            render(midi, midi.with_suffix(f".{options.format}"), synthesizer)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{options.out}: {len(midis)} sound files, {synthesizer.soundfont.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
