"""Progress in a log file: few lines, and the last one always."""

import io

from jaxerm.progress import Ticker, _duration


def test_without_a_terminal_the_end_is_one_plain_line_and_the_middle_is_silent():
    stream = io.StringIO()
    with Ticker("sft", total=3, stream=stream) as ticker:
        for step in (1, 2, 3):
            ticker.update(step, loss=0.12345, n=8)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 and lines[0].startswith("sft: 3/3 in ") and lines[0].endswith("loss 0.123  n 8")


def test_with_no_wait_every_step_is_a_line_and_quiet_is_quiet():
    stream = io.StringIO()
    for quiet in (False, True):
        with Ticker("sft", total=2, every_s=0.0, stream=stream, quiet=quiet) as ticker:
            ticker.update(1)
            ticker.update(2)
    assert [line.split()[1][:3] for line in stream.getvalue().splitlines()] == ["1/2", "2/2"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_with_the_numbers():
    stream = Terminal()
    with Ticker("sft", total=2, start=1, stream=stream) as ticker:
        ticker.update(2, loss=0.5)
    assert "2/2" in stream.getvalue() and "loss 0.5" in stream.getvalue()


def test_a_warning_is_a_line_of_its_own_in_both():
    for stream in (Terminal(), io.StringIO()):
        with Ticker("grpo", total=2, every_s=0.0, stream=stream) as ticker:
            ticker.update(1)
            ticker.say("warning: [bold] the KL is 3")
            ticker.update(2)
        assert "warning: [bold] the KL is 3" in stream.getvalue()


def test_long_times_are_told_in_units_one_can_grasp():
    seconds = (41.6, 119, 600, 3 * 3600 + 300, 52 * 3600)
    assert [_duration(s) for s in seconds] == ["42 s", "119 s", "10 min", "3 h 05 min", "2 d 4 h"]
