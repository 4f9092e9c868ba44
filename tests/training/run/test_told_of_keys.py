"""A model that was not told of keys goes on as one that is."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from tests.support.make_model import TINY, make_checkpoint
from training.run.command_line import parse
from training.run.state import starting_point

UNTOLD = replace(TINY, knows_keys=False)


def test_it_begins_with_the_function_that_it_was(tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path / "untold.pt", UNTOLD)
    options = parse(["--init", str(file), "--tell-keys", "--run", str(tmp_path / "run")])

    start = starting_point(options, None, None)

    assert start.architecture == TINY
    told = replace(load_checkpoint(file), architecture=TINY, weights=start.weights or {})
    tokens = torch.randint(0, TINY.vocabulary_size, (2, 40), generator=torch.manual_seed(0))
    with torch.inference_mode():
        before = load_checkpoint(file).build_model().eval()(tokens)
        after = told.build_model().eval()(tokens)
    torch.testing.assert_close(after, before)


def test_one_that_is_told_already_stays_as_it_is(tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path / "told.pt", TINY)
    options = parse(["--init", str(file), "--tell-keys", "--run", str(tmp_path / "run")])

    start = starting_point(options, None, None)

    assert start.weights is not None
    assert start.weights["key_embedding.weight"].any()


def test_without_the_option_the_architecture_is_that_of_the_file(tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path / "untold.pt", UNTOLD)

    start = starting_point(parse(["--init", str(file)]), None, None)

    assert not start.architecture.knows_keys


def test_a_new_model_need_not_be_told_again(tmp_path: Path) -> None:
    options = parse(["--tell-keys", "--run", str(tmp_path / "run")])

    with pytest.raises(PerformerError, match="--tell-keys needs --init"):
        options.check(processes=1)
