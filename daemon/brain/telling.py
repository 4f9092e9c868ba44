"""What a message of the stage means to the performer, whether brain or replay passes it on."""

from collections.abc import Callable

import numpy as np

from daemon.brain.grid import Grid
from daemon.brain.performer import Performer
from daemon.messages.brain import BeginTurn, Conclude, EndTurn, Hear, Recall, Return, Steer, ToBrain

HEARD_AT_ONCE = 1024  # events of a history


def tell(
    performer: Performer, message: ToBrain, after_part: Callable[[], None] = lambda: None
) -> None:
    """Let the performer know. Messages about a turn are of the one that lasts.

    `after_part()` is called whenever a part of a long history was heard.
    """
    match message:
        case Hear(events):
            performer.hear(events)
        case BeginTurn(_, start_s, held, parameters, phrase_s, bar_s, grid_from_s, grid_s):
            grid = Grid(grid_from_s, grid_s, bar_s)
            rng = np.random.default_rng(parameters.seed)
            performer.begin_turn(start_s, held, parameters, rng, phrase_s, grid)
        case Steer(parameters):
            performer.steer(parameters)
        case Conclude(_, from_s, by_s):
            performer.conclude(from_s, by_s)
        case EndTurn(_, performed, heard):
            performer.end_turn(performed, heard)
        case Return(turns, by_s):
            performer.take_back(turns, by_s)
        case Recall(history):
            performer.forget()
            for start in range(0, len(history), HEARD_AT_ONCE):
                performer.hear(history[start : start + HEARD_AT_ONCE])
                after_part()
