"""Signals: who hears them while something runs, and that everything is as before afterwards."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from linnaea.errors import InterruptedRun
from linnaea.training.interruption import SIGNALS, Interruption, Listening
from linnaea.tuning.worker import Stop

MAKERS: tuple[Callable[[], Listening], ...] = (Interruption, lambda: Stop(None))


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("make", MAKERS)
def test_handlers_stand_again_whatever_happens(make: Callable[[], Listening]) -> None:
    before, seen = handlers(), []

    def failing() -> None:
        with make() as outer, make() as inner:
            seen.extend([outer, inner])
            assert outer.listening and inner.listening
            assert not set(map(id, handlers())) & set(map(id, before))
            raise ValueError("whatever")

    with pytest.raises(ValueError, match="whatever"):
        failing()
    assert handlers() == before
    assert not any(one.listening for one in seen)


@pytest.mark.parametrize("make", MAKERS)
def test_another_thread_hears_nothing(make: Callable[[], Listening]) -> None:
    before, heard = handlers(), []

    def listen() -> None:
        with make() as listening:
            heard.append((listening.listening, handlers() == before))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [(False, True)]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_training_ends_at_once_when_asked_twice(number: signal.Signals) -> None:
    with Interruption() as interruption:
        assert interruption.received is None
        signal.raise_signal(number)
        assert interruption.received == number
        with pytest.raises(InterruptedRun, match="interrupted twice"):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_study_ends_the_trial_that_runs(number: signal.Signals) -> None:
    with Stop(None) as stop:
        signal.raise_signal(number)  # between two trials: nothing to end
        assert stop.received
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt), Stop(None) as stop, stop.trial():
        signal.raise_signal(number)


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_time_ends_the_trial_that_runs_and_one_that_begins_too_late(seconds: float) -> None:
    began = time.monotonic()
    with Stop(seconds) as stop:
        for _ in range(20):
            with pytest.raises(KeyboardInterrupt), stop.trial():
                time.sleep(600)
        assert time.monotonic() - began < 300  # a trial that waits is woken
        assert stop.time_is_up and not stop.received
        assert not stop._trial


def test_time_that_is_up_is_no_signal() -> None:
    with pytest.raises(KeyboardInterrupt), Stop(0) as stop, stop.trial():
        signal.raise_signal(signal.SIGINT)
    assert stop.time_is_up and not stop.received
