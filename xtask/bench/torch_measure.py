"""What the scripts beside this one share: times and memory of this process."""

import statistics
import time
from collections.abc import Callable


def seconds(run: Callable[[], object]) -> float:
    """Seconds that one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def median_seconds(run: Callable[[], object], budget: float, most: int) -> float:
    """Median of as many runs as start within `budget` seconds, `most` at most, after one that is not counted."""
    seconds(run)
    start, times = time.perf_counter(), []
    while not times or (len(times) < most and time.perf_counter() - start < budget):
        times.append(seconds(run))
    return statistics.median(times)


def memory_mb(field: str) -> float | None:
    """Resident memory as Linux counts it: `VmRSS` is that of now, `VmHWM` the most there ever was."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            lines = [line.split() for line in status]
    except OSError:
        return None
    return next((float(words[1]) / 1024 for words in lines if words and words[0] == f"{field}:"), None)
