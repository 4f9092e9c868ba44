"""What a message of the stage means to the performer, whether brain or replay passes it on."""

import numpy as np

from daemon.brain.grid import Grid
from daemon.brain.performer import Performer
from daemon.messages.brain import BeginTurn, Conclude, EndTurn, Hear, Recall, Return, Steer, ToBrain


def tell(performer: Performer, message: ToBrain) -> None:
    """Let the performer know. Messages about a turn are of the one that lasts."""
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
            performer.hear(history)
