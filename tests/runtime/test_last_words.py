"""What is told of a dead slot's output."""

from __future__ import annotations

from flowjob.runtime.last_words import CRASH, LAST_LINES, LastWords


def test_the_last_lines_are_told() -> None:
    words = LastWords()
    words.add(str(i) for i in range(100))
    assert words.lines() == [str(i) for i in range(100 - LAST_LINES, 100)]


def test_of_a_crash_the_innermost_calls_are_told_and_not_our_loop() -> None:
    words = LastWords()
    words.add(["row 1", "row 2"])
    words.add([f"{CRASH}Segmentation fault", "", "Current thread 0x1 (most recent call first):"])
    words.add([f"  File user.py, line {i}" for i in range(100)])
    assert words.lines()[0] == f"{CRASH}Segmentation fault"
    assert words.lines()[3] == "  File user.py, line 0"
    assert len(words.lines()) == LAST_LINES
