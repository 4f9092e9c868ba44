"""The line that tells, while training, how it goes: step, loss, speed and time left."""

INTERVAL_S = 10.0


class StatusLine:
    """Gathers losses between two lines. Time comes in as an argument, in seconds."""

    def __init__(self, now_s: float, share_used: float) -> None:
        self._started_s = self._shown_s = now_s
        self._share_at_start = share_used
        self._losses: list[float] = []
        self._tokens = 0

    def add(self, nll: float, tokens: int) -> None:
        """Take the loss and the loss tokens of one step."""
        self._losses.append(nll)
        self._tokens += tokens

    def due(self, now_s: float) -> bool:
        """Tell whether it is time for a line."""
        return bool(self._losses) and now_s - self._shown_s >= INTERVAL_S

    def line(self, step: int, tokens: int, share_used: float, now_s: float) -> str:
        """Return the line and start gathering anew; `tokens` is the count of the whole run."""
        rate = self._tokens / max(now_s - self._shown_s, 1e-9)
        loss = sum(self._losses) / len(self._losses)
        self._shown_s, self._losses, self._tokens = now_s, [], 0
        return (
            f"step {step:>6}  loss {loss:.3f}  {rate:,.0f} tokens/s  "
            f"{tokens / 1e6:.2f} M tokens  {self._time_left(share_used, now_s)} left"
        )

    def _time_left(self, share_used: float, now_s: float) -> str:
        done = share_used - self._share_at_start
        if done <= 0.0:
            return "?"
        seconds = round((now_s - self._started_s) * (1.0 - share_used) / done)
        hours, rest = divmod(seconds, 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
