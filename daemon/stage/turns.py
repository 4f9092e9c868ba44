"""Whose turn it is: a pure state machine, without clock, thread or port.

It is told what happens and answers what is to be done, at once; so yielding, stopping and panic
never wait for the model. All times are seconds of the session.
"""

import re
from functools import singledispatchmethod

from daemon.messages import turns as t
from daemon.messages.brain import PlanComplete, Planned, Recall, Steer
from daemon.messages.turns import Action, Occurrence, Part, State
from daemon.parameters import APPLIES, Applies, as_json, with_changes
from daemon.stage.footswitch import Tap
from daemon.stage.taking_back import TakingBack
from daemon.stage.turn import Ending, Turn
from perceivers.errors import SettingsError
from perceivers.ranges import shown, suggestion

PLAIN_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)  # of a file, wherever it may lie


class Turns(TakingBack):
    """Decides whose turn it is: one handler for each kind of thing that can happen."""

    def handle(self, happened: Occurrence, now_s: float) -> list[Action]:
        """Take note of what happened; return what is to be done, in this order."""
        if self.state is State.STOPPING:
            is_refused = isinstance(happened, t.Perform | t.AnotherTake | t.Undo)
            return [t.Refuse("the daemon is ending")] if is_refused else []
        self._now_s = now_s
        try:
            return self._on(happened)
        except SettingsError as error:  # parameters that contradict each other: nothing was changed
            return [t.Refuse(str(error))]

    @singledispatchmethod
    def _on(self, happened: Occurrence) -> list[Action]:
        """Do what this kind of occurrence asks for; each kind has a handler of its own below."""
        raise TypeError(f"{happened!r} is nothing that can happen to a turn")

    @_on.register
    def _heard(self, heard: t.Heard) -> list[Action]:
        actions = self._hear(heard.event)
        if self._waiting is not None and not self._phrase.held:
            return [*actions, *self._begin(*self._waiting)]
        return [*actions, *self._settle("player")]

    @_on.register
    def _let_go(self, _: t.LetGo) -> list[Action]:
        return [*self._lift_hands(), *self._end_early("silence asked for")]

    @_on.register
    def _tick(self, _: t.Tick) -> list[Action]:
        deadline_s = self.next_deadline_s
        if deadline_s is None or self._now_s < deadline_s:
            return []
        if self._foot.is_long(self._now_s):
            return self._panic(t.Panic())
        if self._turn is not None:
            return self._turn.cut(self._turn.end_reason)
        return self._begin(self.parameters, "held chord" if self._phrase.held else "silence")

    @_on.register
    def _perform(self, perform: t.Perform) -> list[Action]:
        if self._turn is not None:
            return [t.Refuse("a turn is under way; stop it first")]
        refusals = self._refusals()
        if refusals:
            return refusals
        return self._take(with_changes(self.parameters, perform.changes), "command")

    @_on.register
    def _clocked(self, clocked: t.Clocked) -> list[Action]:
        if clocked.sixteenths is None:
            self.tempo.tick(clocked.at_s)
        else:
            self.tempo.place(clocked.sixteenths)
        return []

    @_on.register
    def _switched(self, moved: t.Switched) -> list[Action]:
        tap = self._foot.moves(moved.down, moved.at_s)
        if not moved.stays:
            self._foot.let_go()
        if tap is Tap.SINGLE:
            return self._tap()
        return self._double_tap() if tap is Tap.DOUBLE else []

    def _tap(self) -> list[Action]:
        """Give the turn back, or take it."""
        self._tapped = None
        if self._turn is not None:
            return self._finish(t.Finish()) if self.state is State.PERFORMING else []
        if self._refusals():
            return []
        is_phrase = self._phrase.notes >= self.parameters.phrase_notes
        actions = self._take(self.parameters, "pedal")
        self._tapped = None if is_phrase else self._turns
        return actions

    def _double_tap(self) -> list[Action]:
        """Give another take of the answer that was heard: not of the one that the tap began."""
        self._waiting = None
        but_one = self._turn is not None and self._tapped == self._turn.number
        return [
            action
            for action in self._taken_back(t.AnotherTake(but_one))
            if not isinstance(action, t.Refuse)  # there is nobody to be told
        ]

    @_on.register
    def _another_take(self, again: t.AnotherTake) -> list[Action]:
        if self._turn is None and self._phrase.notes >= self.parameters.phrase_notes:
            return [t.Refuse("you have played on since the last answer")]
        return self._taken_back(again)

    @_on.register
    def _undo(self, undo: t.Undo) -> list[Action]:
        return self._taken_back(undo)

    @_on.register
    def _stop(self, _: t.Stop) -> list[Action]:
        return self._end_early("stopped")

    @_on.register
    def _finish(self, _: t.Finish) -> list[Action]:
        self._end_phrase()
        if self.state is State.PERFORMING:
            return self._hand_back("finished")
        return self._settle("finished")

    @_on.register
    def _panic(self, _: t.Panic) -> list[Action]:
        actions = self._end_early("panic")
        return [t.SilenceAll(), *(action for action in actions if action != t.Release())]

    @_on.register
    def _reset(self, _: t.Reset) -> list[Action]:
        actions = [*self._end_early("reset"), t.Forget()]
        self._past.forget()
        turn = self._turn
        if turn is not None:
            turn.forget = True
            turn.unheeded.clear()
            return actions
        return actions if Part.MODEL in self.missing else [*actions, Recall(())]

    @_on.register
    def _capture(self, capture: t.Capture) -> list[Action]:
        if not capture.name or PLAIN_NAME.fullmatch(capture.name) is None:
            return [
                t.Refuse(f"name = {shown(capture.name)} is not allowed; letters, digits, - and _")
            ]
        return [t.Keep(capture.name, capture.seconds)]

    @_on.register
    def _preset(self, preset: t.Preset) -> list[Action]:
        changes = self.presets.get(preset.name)
        if changes is None:
            told = suggestion(preset.name, self.presets) if self.presets else "there are none"
            return [t.Refuse(f"no preset {shown(preset.name)}; {told}")]
        return self._adjust(t.Adjust(changes))

    @_on.register
    def _program_changed(self, changed: t.ProgramChanged) -> list[Action]:
        """Set the preset of that place in the settings file, if there are so many."""
        names = [*self.presets]
        if not self.parameters.preset_programs or changed.program >= len(names):
            return []
        return self._preset(t.Preset(names[changed.program]))

    @_on.register
    def _adjust(self, adjust: t.Adjust) -> list[Action]:
        before = as_json(self.parameters)
        adjusted = with_changes(self.parameters, adjust.changes)
        changes = {
            name: value
            for name, value in adjust.changes.items()
            if value != before[name] and APPLIES[name] is not Applies.NEXT_TURN
        }
        turn = self._turn
        if turn is not None:  # before anything is changed: it may not go with those of the turn
            turn.parameters = with_changes(turn.parameters, changes)
        self.parameters = adjusted
        actions: list[Action] = [t.Changed(tuple(adjust.changes)), *self._settle("parameters")]
        if turn is not None and changes and turn.ending is not Ending.CUT:
            actions.append(Steer(turn.parameters))
        return actions

    @_on.register
    def _planned(self, planned: Planned) -> list[Action]:
        turn = self._played(planned)
        if turn is None:
            return []
        return [t.Play(planned.events, turn.parameters.channel - 1)]

    @_on.register
    def _plan_complete(self, complete: PlanComplete) -> list[Action]:
        turn = self._played(complete)
        if turn is None:
            return []
        turn.complete = True
        if turn.ending is Ending.NOT_YET:
            turn.end_reason = complete.reason
        return [t.ReleaseAfterPlan()]

    def _played(self, said: Planned | PlanComplete) -> Turn | None:
        """Return the turn of which the brain speaks, if that is still to be played."""
        turn = self._turn
        is_played = turn is not None and turn.number == said.turn and turn.is_played(said.plan)
        return turn if is_played else None

    @_on.register
    def _performed(self, performed: t.Performed) -> list[Action]:
        turn = self._turn
        if turn is None:  # a release that was owed: a port that was gone, a key that was held
            self.history.extend([performed.event])
            return self._tell_heard([performed.event])
        turn.play(performed.event)
        return []

    @_on.register
    def _released(self, _: t.Released) -> list[Action]:
        turn = self._turn
        if turn is None or not (turn.complete or turn.ending is Ending.CUT):
            return []
        self._turn = None
        clock = [t.StopClock()] if turn.parameters.clock_out else []
        return [*clock, *self._after(turn)]

    def _after(self, turn: Turn) -> list[Action]:
        """Go on after a turn of which nothing sounds any more."""
        if self._take_back is not None and not turn.forget and not self._refusals():
            command, self._take_back = self._take_back, None
            is_known = turn.known_to_brain
            ended: list[Action] = [turn.told_at_the_end()] if is_known else []
            return [*ended, turn.summary(self._now_s), *self._go_back(command)]
        self._take_back = None
        if turn.forget:
            self.history.extend(turn.unheeded)
        else:
            self._past.handed_back(turn.heard, turn.performed, turn.unheeded)
        if turn.ending is Ending.NOT_YET and self._phrase.is_over(self.parameters, self._now_s):
            self._phrase.end()  # what was played over it was answered by it
        summary = turn.summary(self._now_s)
        return [*self._tell_end(turn), summary, *self._settle(turn.end_reason)]

    def _tell_end(self, turn: Turn) -> list[Action]:
        if Part.MODEL in self.missing:
            return []
        if not turn.known_to_brain:  # it was started anew in the meantime
            return [Recall(tuple(self.history))]
        if turn.forget:
            return [turn.told_at_the_end(), Recall(tuple(turn.unheeded))]
        return [turn.told_at_the_end()]

    @_on.register
    def _lost(self, lost: t.Lost) -> list[Action]:
        self.missing[lost.part] = lost.reason
        self._waiting = None
        if lost.part is Part.MODEL:
            self._past.brain_is_new()
        actions: list[Action] = []
        if lost.part is Part.INPUT:
            self._foot.let_go()
            actions = self._lift_hands()
        elif self._turn is not None:
            if lost.part is Part.MODEL:
                self._turn.known_to_brain = False
            actions = self._cut(lost.reason)
        return [*actions, *self._settle(lost.reason)]

    @_on.register
    def _back(self, back: t.Back) -> list[Action]:
        if self.missing.pop(back.part, None) is None:
            return []
        actions: list[Action] = []
        if back.part is Part.MODEL:
            self._was_ready = True
            if self.history and self._turn is None:
                actions.append(Recall(tuple(self.history)))
        return [*actions, *self._settle(f"{back.part} ready")]

    @_on.register
    def _shutdown(self, _: t.Shutdown) -> list[Action]:
        return [t.Release(), *self._enter(State.STOPPING, "shutdown")]
