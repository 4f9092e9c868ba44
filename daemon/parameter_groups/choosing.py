"""How the next token is chosen from the model's prediction."""

from dataclasses import dataclass

from daemon.parameter_groups.rows import Applies, parameter


@dataclass(frozen=True, slots=True)
class Choosing:
    """Temperatures, truncation, repetition and seed."""

    temperature: float = parameter(
        1.0,
        "",
        "how daring the choice of notes is; 1 is the model itself",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=2.0,
    )
    time_temperature: float | None = parameter(
        None,
        "",
        "the same for how much time passes; null: as temperature",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=2.0,
        optional=True,
    )
    pitch_temperature: float | None = parameter(
        None,
        "",
        "the same for which key is struck; null: 0.85 of temperature",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=2.0,
        optional=True,
    )
    top_p: float = parameter(
        1.0,
        "",
        "only the likeliest tokens up to this share of probability",
        applies=Applies.NEXT_TOKEN,
        minimum=0.01,
        maximum=1.0,
    )
    min_p: float = parameter(
        0.0,
        "",
        "only tokens at least this likely, relative to the likeliest",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=0.5,
    )
    repetition_penalty: float = parameter(
        0.0,
        "nats per note",
        "how much each further note of a repetition is disfavoured; 0: not at all",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=10.0,
    )
    repetition_notes: int = parameter(
        8,
        "notes",
        "how long a repetition may be before the penalty counts",
        applies=Applies.NEXT_TOKEN,
        minimum=1,
        maximum=256,
    )
    follow: float = parameter(
        0.0,
        "",
        "how much it leans towards the player's density, register, loudness and note length",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=1.0,
    )
    candidates: int = parameter(
        1,
        "",
        "how many ways on are tried for the next seconds, where there is time; the best is played",
        applies=Applies.NEXT_TOKEN,
        minimum=1,
        maximum=16,
    )
    seed: int | None = parameter(
        None,
        "",
        "makes an answer repeatable; null: a new one each turn",
        applies=Applies.NEXT_TURN,
        minimum=0,
        maximum=2**31 - 1,
        optional=True,
    )
