"""Openings of real performances, from the starter set, for whoever cannot play."""

from dataclasses import dataclass
from pathlib import Path

from daemon.page.play_in import Piece, piece_of
from perceivers.midi_files import read_performance

_STARTER = Path(__file__).resolve().parents[2] / "training" / "starter" / "asap"


@dataclass(frozen=True, slots=True)
class Opening:
    """The first seconds of a performance, until every key is up."""

    name: str
    title: str
    file: str
    seconds: float

    @property
    def path(self) -> Path:
        """Where it lies, in a checkout."""
        return _STARTER / self.file


OPENINGS = (
    Opening(
        "bach-prelude",
        "Bach, Prelude in F minor, BWV 857",
        "Bach/Prelude/bwv_857/YuP01M.mid",
        12.6,
    ),
    Opening(
        "mozart-turca",
        "Mozart, Sonata in A major, K. 331, Rondo alla turca",
        "Mozart/Piano_Sonatas/11-3/Stahievitch02.mid",
        19.9,
    ),
    Opening(
        "beethoven-109",
        "Beethoven, Sonata in E major, op. 109, first movement",
        "Beethoven/Piano_Sonatas/30-1/TanakaM06M.mid",
        15.0,
    ),
    Opening(
        "schubert-impromptu",
        "Schubert, Impromptu in G flat major, op. 90 no. 3",
        "Schubert/Impromptu_op.90_D.899/3/Sham06.mid",
        16.9,
    ),
    Opening(
        "chopin-etude",
        "Chopin, Étude in A flat major, op. 25 no. 1",
        "Chopin/Etudes_op_25/1/TuanS04M.mid",
        14.4,
    ),
    Opening(
        "debussy-reflets",
        "Debussy, Reflets dans l'eau",
        "Debussy/Images_Book_1/1_Reflets_dans_lEau/ParkJH13M.mid",
        12.6,
    ),
)


def opening_of(opening: Opening) -> Piece:
    """Read an opening. Raises MidiFileError where the starter set is not there."""
    return piece_of(opening.title, read_performance(opening.path), opening.seconds)
