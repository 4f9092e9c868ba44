import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from perceivers import vocabulary as v
from perceivers.encoder import encode
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import Track, write_performance
from tests.make_model import TINY, make_checkpoint, make_model
from training.evaluate import chosen_pieces, main
from training.evaluation.blocks import BlockSampling, block_ends
from training.evaluation.figures import Scores, by_context, notes_in, seconds_in, summary
from training.evaluation.likelihood import piece_scores, score

CPU = torch.device("cpu")


def music(notes: int, seed: int = 0) -> list[TimedEvent]:
    rng = np.random.default_rng(seed)
    performance = []
    for i, pitch in enumerate(rng.integers(40, 90, notes)):
        performance.append(TimedEvent(i * 0.25, NoteOn(int(pitch), int(rng.integers(30, 100)))))
        performance.append(TimedEvent(i * 0.25 + 0.2, NoteOff(int(pitch))))
    return performance


@pytest.mark.parametrize("length", [2, 3, TINY.latents, TINY.latents + 1, 100, 333])
def test_every_token_but_the_first_is_scored_once_with_enough_history(length: int):
    ends = block_ends(length, TINY.latents)

    starts = [0, *ends[:-1]]
    assert ends[-1] == length - 1
    for start, end in zip(starts, ends, strict=True):
        assert start < end
        first_latent = max(0, end - TINY.latents)
        assert start - first_latent >= min(start, TINY.latents // 2)


@torch.no_grad()
def test_scores_are_those_of_one_full_forward_pass():
    """Within the context, with bands that history covers, blocks give what a single pass gives."""
    tokens = np.array(encode(music(12)))[: TINY.latents + 1]
    model = make_model()

    scores = np.concatenate(list(piece_scores(model, tokens, CPU, BlockSampling())))

    logits = model(torch.from_numpy(tokens[:-1])[None])[0]
    expected = cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none")
    assert scores == pytest.approx(expected.numpy(), abs=1e-4)


@torch.no_grad()
def test_each_score_is_that_of_the_token_at_its_place():
    """A model that knows only which token is likely scores each occurrence alike."""
    model = make_model()
    for name, parameter in model.named_parameters():
        if name.endswith(("output.weight", "down.weight")):
            torch.nn.init.zeros_(parameter)  # logits then depend on the present token alone
    tokens = np.array(encode(music(90)))

    scores = np.concatenate(list(piece_scores(model, tokens, CPU, BlockSampling())))

    logits = model(torch.from_numpy(tokens[:-1])[:, None])[:, 0]
    expected = cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none")
    assert len(scores) == len(tokens) - 1 > 3 * TINY.context
    assert scores == pytest.approx(expected.numpy(), abs=1e-4)


def test_notes_and_seconds_are_counted_from_the_tokens():
    tokens = np.array(encode(music(12)))

    assert notes_in(tokens) == 12
    assert seconds_in(tokens) == pytest.approx(11 * 0.25 + 0.2)


def test_figures_are_ratios_of_sums_with_an_interval_around_them():
    rng = np.random.default_rng(0)
    pieces = [np.array(encode(music(notes, seed=notes))) for notes in (100, 20, 180)]
    scores = [Scores(rng.normal(2.0, 0.5, len(piece) - 1), piece[1:]) for piece in pieces]

    figures = summary(scores)

    nats = np.concatenate([found.nats for found in scores])
    assert figures["tokens"] == len(nats)
    assert figures["nats_per_token"]["value"] == pytest.approx(nats.mean())
    assert figures["bits_per_note"]["value"] == pytest.approx(nats.sum() / math.log(2) / 300)
    assert figures["bits_per_second"]["value"] == pytest.approx(
        nats.sum() / math.log(2) / figures["seconds"]
    )
    for name in ("nats_per_token", "bits_per_note", "bits_per_second"):
        found = figures[name]
        assert found["low"] <= found["value"] <= found["high"]


def test_context_is_what_lies_before_the_predicted_token():
    # entry t is the token at position t + 1, which has t + 1 tokens before it
    nats = np.arange(1, 20_001, dtype=np.float64)

    buckets = by_context([Scores(nats, np.zeros(20_000, np.int64))])

    assert [found["tokens"] for found in buckets.values()] == [511, 512, 3072, 12_288, 3617]
    assert buckets["512-1024"]["value"] == pytest.approx((512 + 1023) / 2)
    assert by_context([Scores(nats[:10], np.zeros(10, np.int64))])["16384+"]["value"] is None


@pytest.fixture
def midi(tmp_path: Path) -> Path:
    folder = tmp_path / "midi"
    lines = ["path,split,dataset"]
    for i, split in enumerate(("train", "validation", "validation")):
        performance = tuple(music(20, seed=i))
        write_performance(folder / f"{i}.mid", [Track("piano", 0, performance)])
        lines.append(f"{i}.mid,{split},set{i}")
    (folder / "MANIFEST.csv").write_text("\n".join(lines))
    return folder


def test_the_script_writes_its_figures(
    midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint = make_checkpoint(tmp_path / "run" / "best.pt")

    for model in (checkpoint, checkpoint.parent):
        out = tmp_path / "figures.json"
        code = main(["--model", str(model), "--midi", str(midi), "--json", str(out)])

        figures = json.loads(out.read_text())
        assert code == 0
        assert figures["pieces"] == 2
        assert figures["notes"] == 40
        assert figures["model"] == str(checkpoint)
        assert figures["vocabulary"] == v.fingerprint()
        assert f"{figures['nats_per_token']['value']:.3f}" in capsys.readouterr().out


def test_data_sets_can_be_chosen_and_an_empty_choice_is_refused(
    midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint = make_checkpoint(tmp_path / "best.pt")
    command = ["--model", str(checkpoint), "--midi", str(midi), "--json", str(tmp_path / "f.json")]

    assert main([*command, "--datasets", "set2"]) == 0
    assert json.loads((tmp_path / "f.json").read_text())["pieces"] == 1
    assert main([*command, "--datasets", "set7"]) == 2
    assert "no piece in split 'validation' of data sets set7" in capsys.readouterr().err


def test_a_limit_takes_whole_pieces_in_a_fixed_order_and_cuts_the_last():
    class Pieces:
        def __len__(self) -> int:
            return 5

        def tokens(self, index: int) -> np.ndarray:
            return np.full(100, index, dtype=np.uint16)

    chosen = chosen_pieces(Pieces(), 250)  # type: ignore[arg-type]

    assert [len(piece) for piece in chosen] == [100, 100, 50]
    assert len({int(piece[0]) for piece in chosen}) == 3
    again = chosen_pieces(Pieces(), 250)  # type: ignore[arg-type]
    assert all((a == b).all() for a, b in zip(chosen, again, strict=True))


def test_a_sample_of_blocks_scores_what_the_whole_scores_there():
    model = make_model()
    piece = np.array(encode(music(100)))
    whole = score(model, [piece], CPU)[0].nats

    (sampled,) = score(model, [piece], CPU, every=3)

    taken = ~np.isnan(sampled.nats)
    assert 0 < taken.sum() < len(whole) / 2
    np.testing.assert_allclose(sampled.nats[taken], whole[taken])
    assert summary([sampled])["tokens"] == taken.sum()
