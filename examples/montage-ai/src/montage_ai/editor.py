"""Where the cuts go: on every n-th beat, never closer than a shortest shot."""

from collections.abc import Iterable

SHORTEST_SHOT = 0.4  # seconds


def cuts(beats: Iterable[float], every: int = 4) -> list[float]:
    """Return the times, in seconds, at which to cut."""
    out: list[float] = []
    for beat in list(beats)[::every]:
        if not out or beat - out[-1] >= SHORTEST_SHOT:
            out.append(beat)
    return out
