"""Timing in turns: every round runs everything once, in an order drawn anew, so that what slows one slows all."""

import gc
import math
import random
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

TURN = 0.02  # seconds that a turn lasts at least: short calls are repeated and averaged
PAUSE = 0.003  # seconds between turns, in which the threads of the one before go to sleep
MOST_CALLS = 50


class Spread(NamedTuple):
    """Seconds a call, over the rounds."""

    minimum: float
    lower: float  # first quartile
    median: float
    upper: float  # third quartile


def spread(seconds: list[float]) -> Spread:
    """The quartiles of what was measured."""
    return Spread(*(float(q) for q in np.quantile(seconds, (0, 0.25, 0.5, 0.75))))


def ratio(seconds: list[float], base: list[float]) -> float:
    """The median over the rounds of the ratio within a round."""
    return float(np.median(np.divide(seconds, base)))


Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def timed(run: Callable[[], Any], calls: int = 1, clock: Clock = time.perf_counter) -> float:
    """Seconds a call; `run` must return only when its result is there."""
    begin = clock()
    for _ in range(calls):
        run()
    return (clock() - begin) / calls


def take_turns(
    runs: Mapping[Hashable, Callable[[], Any]],
    *,
    seconds: float,
    rounds: int | None = None,
    fewest: int = 5,
    most: int = 25,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[Hashable, list[float]]:
    """Seconds a call of each of `runs`, one figure a round.

    Args:
        runs: what to time; all of it has run before (compiled).
        seconds: about how long to take, where `rounds` is None: between `fewest` and `most` rounds.
        rounds: how many rounds, whatever they take.
        fewest: rounds at least.
        most: rounds at most.
        seed: of the orders.
        clock: what a call is timed by; `time.process_time` counts the seconds that all threads of this process worked.
        progress: told how many rounds are done, of how many.
    """
    calls: dict[Hashable, int] = {}
    entered = time.perf_counter()
    for key, run in runs.items():
        time.sleep(PAUSE)
        calls[key] = max(1, min(MOST_CALLS, math.ceil(TURN / timed(run))))
    rng, order = random.Random(seed), list(runs)
    measured: dict[Hashable, list[float]] = {key: [] for key in runs}
    gc.collect()
    gc.disable()
    try:
        done, of, begin = 0, rounds or fewest, time.perf_counter()
        while done < of:
            rng.shuffle(order)
            for key in order:
                time.sleep(PAUSE)
                measured[key].append(timed(runs[key], calls[key], clock))
            done += 1
            if rounds is None:
                each = (time.perf_counter() - begin) / done
                of = max(fewest, min(most, int((seconds - (begin - entered)) / each)))
            progress(done, of)
    finally:
        gc.enable()
    return measured
