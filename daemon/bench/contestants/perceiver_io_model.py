"""The contestant that is perceiver-io: Perceiver AR for piano, by its own `generate` with a cache.

    /path/to/its/environment/bin/python daemon/bench/contestants/perceiver_io_model.py

A step is what passes between two tokens that `generate` gives out. The shape is that of its
published model for MAESTRO, with random weights, which cost the same. Tokens per note are counted
by its own encoder on the starter music. (Krasser, Stumpf: "perceiver-io", version 0.11.)
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from daemon.bench.contestants.protocol import answer

MUSIC = Path(__file__).resolve().parents[3] / "training" / "starter"
CONTEXT, LATENTS = 2048, 1024
SHAPE = {
    "vocab_size": 389,
    "max_seq_len": CONTEXT,
    "max_latents": LATENTS,
    "num_channels": 512,
    "num_heads": 8,
    "num_self_attention_layers": 8,
    "output_norm": True,
    "output_bias": False,
    "abs_pos_emb": False,
}
SAMPLING = {"do_sample": True, "top_p": 0.95, "temperature": 1.0}  # as its README samples
NOTE_ONS = range(128)  # its tokens that strike a key
PIECES = 12


class TokenTimes:
    """Takes the tokens of `generate` as they come and notes the processor time of each."""

    def __init__(self) -> None:
        self._at_s: list[float] = []

    def put(self, value: object) -> None:  # noqa: ARG002 - the interface of transformers
        """Note that a token came; the first call brings the prompt."""
        self._at_s.append(time.thread_time())

    def end(self) -> None:
        """Nothing is kept open."""

    def steps_ms(self) -> list[float]:
        """Return the times between tokens; that of the first one is the prompt's."""
        return [1000 * (later - at) for at, later in pairwise(self._at_s[1:])]


class PerceiverIoContestant:
    """A perceiver-io model in the place of a contestant."""

    def __init__(self) -> None:
        # Here, because only its own environment has them.
        import torch  # noqa: PLC0415
        from perceiver.model.audio import symbolic  # noqa: PLC0415

        torch.set_num_threads(1)
        shape = symbolic.SymbolicAudioModelConfig(**SHAPE)
        config = symbolic.PerceiverSymbolicAudioModelConfig(shape, is_decoder=True)
        self._model = symbolic.PerceiverSymbolicAudioModel(config).eval()
        self._prompt = torch.randint(SHAPE["vocab_size"] - 1, (1, CONTEXT))
        self._parameters = sum(part.numel() for part in self._model.parameters())
        self._torch = torch.__version__

    def about(self) -> dict[str, Any]:
        """Return what it is."""
        libraries = [f"{name} {version(name)}" for name in ("perceiver-io", "transformers")]
        return {
            "library": ", ".join([*libraries, f"torch {self._torch}"]),
            "weights": f"{self._parameters:,} parameters, random",
            "contexts": [CONTEXT],
            "steps_per_note": tokens_per_note(sorted(MUSIC.rglob("*.mid"))[:PIECES]),
        }

    def times_ms(self, context: int, steps: int) -> list[float]:
        """Return the processor time of each of `steps` tokens, the first after `context`."""
        times = TokenTimes()
        self._model.generate(
            input_ids=self._prompt[:, -context:],
            num_latents=LATENTS,
            max_new_tokens=1 + steps,
            streamer=times,
            **SAMPLING,
        )
        return times.steps_ms()


def tokens_per_note(pieces: Sequence[Path]) -> float:
    """Return how many tokens its encoder spends on a note-on in these pieces."""
    from perceiver.data.audio.midi_processor import encode_midi  # noqa: PLC0415 - as above
    from pretty_midi import PrettyMIDI  # noqa: PLC0415 - as above

    tokens = [token for piece in pieces for token in encode_midi(PrettyMIDI(str(piece)))]
    return len(tokens) / sum(token in NOTE_ONS for token in tokens)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.parse_args(arguments)
    try:
        contestant = PerceiverIoContestant()
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: this Python ({sys.executable}) has no module {error.name!r}; "
            "docs/engine.md says how to make an environment for it\n"
        )
        return 2
    answer(contestant)
    return 0


if __name__ == "__main__":
    sys.exit(main())
