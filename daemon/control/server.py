"""The control thread: takes commands, has them carried out, and tells the world what happens."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from daemon.control.commands import Answers, Result
from daemon.control.replies import HEARTBEAT, encode_error, encode_event, encode_result, schema
from daemon.control.requests import Code, CommandError, Request, RequestId, parse_request
from daemon.control.sockets import ServerSockets
from daemon.settings import ControlSettings
from perceivers.errors import PerformerError

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 1.0
_JOIN_LIMIT_S = 2.0
_REQUESTS_AT_A_TIME = 64  # then events have their turn, however many requests wait
_EVENTS_WAITING = 10_000  # in the inbox; more than an hour of music in one second


@dataclass(slots=True)
class Counts:
    """What came and what went wrong, since the start."""

    requests: int = 0
    refused: int = 0  # requests answered with an error
    malformed: int = 0  # messages whose frames are no request at all
    replies_lost: int = 0  # the client was gone, or read none of its replies
    disconnected: int = 0  # peers that left, or were cut off for a frame beyond the limit
    handshakes_failed: int = 0  # peers that spoke no ZeroMQ, or whose key was not admitted
    stalls: int = 0  # times that a subscriber fell behind and began to lose events
    events_lost: int = 0  # published faster than they could be sent, or no JSON


@dataclass(frozen=True, slots=True)
class _Event:
    topic: str
    time_s: float
    payload: Mapping[str, Any]


class ControlServer:
    """Owns the control thread and its sockets; a context manager.

    `carry_out` is called for one request at a time, in the control thread. Where it cannot do as
    asked it raises a PerformerError, whose message goes to the client as `refused`. What it returns
    goes to the client and must be JSON: finite numbers, text, booleans, None, lists, dicts.
    `now_s` is the clock of the session; it stamps the events.
    """

    def __init__(
        self,
        settings: ControlSettings,
        carry_out: Callable[[Request], Result],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._carry_out = carry_out
        self._now_s = now_s
        self._counts = Counts()
        self._inbox: deque[_Event] = deque()
        self._numbers: Counter[str] = Counter()
        self._awake = False
        self._sockets: ServerSockets
        self._open = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> Self:
        """Open the sockets, so that a taken address is the caller's error; then begin."""
        self._sockets = ServerSockets(self._settings)
        self.commands_address = self._sockets.commands_address
        self.events_address = self._sockets.events_address
        logger.info("commands at %s, events at %s", self.commands_address, self.events_address)
        self._open = True
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the thread, and with it the sockets."""
        self._stopping = True
        self._sockets.wake()
        self._thread.join(_JOIN_LIMIT_S)
        if self._thread.is_alive():
            logger.error("the control thread has not ended within %g s", _JOIN_LIMIT_S)

    @property
    def addresses(self) -> tuple[str, str]:
        """Where commands are taken and where events are told."""
        return self.commands_address, self.events_address

    @property
    def alive(self) -> bool:
        """Whether commands are being taken."""
        return self._thread.is_alive()

    def publish(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Tell all subscribers; from any thread, at any time, and never waiting.

        `payload` is JSON and belongs to the server from here on: leave it unchanged.
        """
        if len(self._inbox) >= _EVENTS_WAITING:
            self._counts.events_lost += 1
            return
        self._inbox.append(_Event(topic, self._now_s(), payload))
        if self._open and not self._awake:
            self._awake = True
            self._sockets.wake()

    def _run(self) -> None:
        started_s = beat_s = self._now_s()
        try:
            while not self._stopping:
                self._sockets.wait(beat_s - self._now_s())
                for frames in self._sockets.requests(_REQUESTS_AT_A_TIME):
                    self._take(frames)
                self._count_lost_peers()
                if self._now_s() >= beat_s:
                    self.publish(HEARTBEAT, {"uptime_s": round(self._now_s() - started_s, 3)})
                    beat_s = self._now_s() + _HEARTBEAT_S
                self._send_events()
            self._send_events()
        except Exception:
            logger.exception("the control thread has failed; the music goes on without it")
        finally:
            self._sockets.close()

    def _take(self, frames: list[bytes]) -> None:
        """Answer one message: [peer, request], or [peer, empty, request] from a REQ socket."""
        envelope = frames[:2] if len(frames) == 3 and not frames[1] else frames[:1]
        self._counts.requests += 1
        if len(frames) != len(envelope) + 1:
            self._counts.malformed += 1
            told = f"{len(frames) - 1} frames are no request; send one JSON object in one frame"
            reply = encode_error(CommandError(Code.BAD_FRAMES, told))
        else:
            reply = self._answer(frames[-1], frames[0].hex())
        if not self._sockets.reply([*envelope, reply]):
            self._counts.replies_lost += 1

    def _answer(self, frame: bytes, client: str) -> bytes:
        request_id: RequestId = None
        try:
            request = parse_request(frame, client)
            request_id = request.id
            return encode_result(request.id, self._result(request))
        except CommandError as error:
            refusal = error
        except PerformerError as error:
            refusal = CommandError(Code.REFUSED, str(error))
        except Exception as error:  # a fault in one command must not end the others
            logger.exception("a command has failed")
            refusal = CommandError(Code.INTERNAL, f"{type(error).__name__}; see the daemon's log")
        self._counts.refused += 1
        refusal.request_id = request_id if refusal.request_id is None else refusal.request_id
        return encode_error(refusal)

    def _result(self, request: Request) -> Result:
        answers = request.command.answers
        if answers is Answers.SCHEMA:
            return schema()
        result = self._carry_out(request)
        return result | {"control": asdict(self._counts)} if answers is Answers.INFO else result

    def _send_events(self) -> None:
        self._awake = False  # before the emptying: what comes after it wakes again
        for _ in range(len(self._inbox)):  # no more: commands have their turn, too
            event = self._inbox.popleft()
            self._numbers[event.topic] += 1
            number = self._numbers[event.topic]
            try:
                topic = event.topic.encode()
                body = encode_event(event.topic, number, event.time_s, event.payload)
            except (TypeError, ValueError):
                self._counts.events_lost += 1
                logger.exception("an event is no JSON: %r", event)
                continue
            if not self._sockets.publish(topic, body):
                self._counts.stalls += 1
                logger.warning("a subscriber does not keep up and loses events")

    def _count_lost_peers(self) -> None:
        disconnected, failed = self._sockets.lost_peers()
        self._counts.disconnected += disconnected
        self._counts.handshakes_failed += failed
