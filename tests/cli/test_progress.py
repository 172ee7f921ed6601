"""The sweep's display: what the panel says at several moments and sizes, what a log gets, and a real pseudo-terminal that never tears."""

import codecs
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace

import numpy as np
import pytest
from ablation_outcomes import VALUES, complete, toy_plan
from rich.console import Console
from scipy import stats

from clef_ray.ablation import Outcome
from clef_ray.cli import progress
from clef_ray.cli.progress import Display
from clef_ray.cli.standing import Leading, Standing, duration, name
from clef_ray.search import Limit

PLAN = toy_plan(settings={"optimiser.epochs": 8})
TRIALS = {name(t): t for t in PLAN.trials}


class Clock:
    """The display's clock, set by hand."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(progress, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(progress, "TICK", 3600)  # the test beats
    monkeypatch.delenv("CI", raising=False)
    Clock.now = 1000.0
    return Clock


def finished(trial, wall):
    made = complete(TRIALS[trial], VALUES[TRIALS[trial].arm.name][TRIALS[trial].seed])
    return replace(made, seconds={"wall": wall})


def panel(display, width=80, height=24):
    """The panel's lines as a terminal of this size would show them."""
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(display._view())
    return console.export_text().splitlines()


def log():
    return Console(file=io.StringIO(), record=True, width=80)


def lines(console):
    return console.export_text().splitlines()


def test_the_panel_tells_the_whole_story_of_a_sweep(clock):
    display = Display(PLAN, log(), slots=2, resources={"CPU": 2, "GPU": 0.5}, hints=("MLflow UI: make ui",))
    first = panel(display)
    assert "toy · 0:00:00 ─" in first[0]
    assert "0/15" in first[1]
    assert "0 complete  0 running  15 waiting  0 pruned  0 failed" in first[2]
    assert not any("best" in line or "left" in line for line in first)

    display.start(TRIALS["clef-1 seed 0"])
    display.start(TRIALS["clef-31 seed 1"])
    display.epoch(TRIALS["clef-1 seed 0"], {"epoch": 3.0, "loss": 4.21, "records_per_second": 1352.4})
    clock.now += 36
    middle = panel(display)
    assert "slots: 2 used, 0 free  ·  0.01 GPU-hours so far" in middle[3]
    assert re.search(r"clef-1 +0 .* 3/8 +4\.210 +1,352 │", middle[6])
    assert re.search(r"clef-31 +1 .* 0/8 +│", middle[7])
    assert not any("valid/rsa" in line for line in middle), "nothing that runs has it"
    assert not any("left" in line for line in middle), "nothing has finished yet"

    display.epoch(TRIALS["clef-1 seed 0"], {"epoch": 8.0, "loss": 4.0, "valid/rsa": -0.25})
    judged = panel(display)
    assert re.search(r"clef-1 +0 .*judged +4\.000 +−0\.250 +│", judged[6])

    display.end(finished("clef-1 seed 0", 60.0))
    display.end(Outcome(TRIALS["clef-31 seed 1"], "PRUNED", reason="asha", seconds={"wall": 40.0}))
    display.start(TRIALS["clef-1 seed 1"])
    display.end(finished("clef-1 seed 1", 80.0))
    display.start(TRIALS["clef-31 seed 0"])
    display.end(finished("clef-31 seed 0", 60.0))
    display.end(Outcome(TRIALS["random seed 0"], "FAILED", reason="the disk [of node 3] is full, " * 9))
    last = panel(display)
    assert "about 5 min left" in last[0], "mean wall of 60 s x 10 runs / 2 slots"
    assert "3 complete  0 running  10 waiting  1 pruned  1 failed" in last[2]
    values = VALUES["clef-1"][:2]
    half = stats.t.ppf(0.975, 1) * np.std(values, ddof=1) / np.sqrt(2)
    best = next(line for line in last if "best" in line)
    assert f"clef-1 (2 seeds)  probe/auroc {np.mean(values):.3f} ± {half:.3f}" in best
    assert "zeroshot" not in best, "no metric is cut in two"
    wide = "".join(panel(display, width=100))
    assert f"zeroshot/rsa {np.mean(values) - 0.5:.3f} ± {half:.3f}" in wide
    failed = next(line for line in last if "failed random" in line)
    assert "the disk [of node 3] is full" in failed
    assert failed.endswith("… │")
    assert "MLflow UI: make ui" in last[-2]


def test_the_better_end_of_the_leading_metric_decides_who_is_best():
    outcomes = [
        finished("clef-1 seed 0", 1.0),
        finished("random seed 0", 1.0),
        finished("clef-31 seed 0", 1.0),
    ]
    bests = {}
    leads = (
        None,
        Leading("probe/auroc", "minimize"),
        Leading("cost", "maximize"),
        Leading("cost", "minimize"),
        Leading("cost", "maximize", (Limit("cost", at_most=2.5), Limit("cost/cpu_hours", at_most=0.0))),
    )
    outcomes = [_costing(o, cost) for o, cost in zip(outcomes, (3.0, 2.0, 1.0), strict=True)]
    for leading in leads:
        display = Display(PLAN, log(), leading=leading)
        display.recall(outcomes)
        standing = display.standing
        bests[leading] = standing.best.arm.name
        assert next(iter(standing.best.cells)) == (leading or PLAN.ablation.headline)[0]
        assert standing.ended == 3
        assert standing.left(0.0) is None, "what was found says nothing about this machine"
        assert standing.hours(0.0) == ("CPU", 0.0), "nor did this process pay for it"
    assert list(bests.values()) == ["clef-31", "random", "clef-1", "clef-31", "random"]


def _costing(outcome, cost):
    """The outcome with a metric that is not in the headline."""
    results = {name: replace(r, extras={**r.extras, "cost": cost}) for name, r in outcome.results.items()}
    return replace(outcome, results=results)


def test_time_left_counts_what_running_trials_have_behind_them():
    standing = Standing(PLAN, 4, 2, {"CPU": 2}, Leading("probe/auroc", "maximize"))
    standing.start(TRIALS["clef-1 seed 0"], 0.0)
    standing.end(finished("clef-1 seed 0", 100.0), 100.0)
    standing.start(TRIALS["clef-1 seed 1"], 100.0)
    standing.start(TRIALS["clef-1 seed 2"], 150.0)
    assert standing.left(170.0) == (100 + 30 + 80) / 2
    standing.total = 3
    assert standing.left(170.0) == (30 + 80) / 2
    standing.end(finished("clef-1 seed 1", 100.0), 200.0)
    assert standing.left(200.0) == 50.0, "the second slot has nothing to do"
    assert standing.hours(200.0) == ("CPU", pytest.approx(2 * (100 + 100 + 50) / 3600))
    standing.start(TRIALS["clef-1 seed 2"], 210.0)
    assert standing.hours(210.0) == ("CPU", pytest.approx(2 * 260 / 3600)), "a lost attempt was paid for too"


def test_an_estimate_is_as_exact_as_it_deserves():
    assert [duration(s) for s in (3.2, 89, 91, 3000, 5400, 8100)] == [
        "3 s",
        "89 s",
        "2 min",
        "50 min",
        "1 h 30 min",
        "2 h 15 min",
    ]


@pytest.mark.parametrize("width", [30, 40, 53, 63, 80, 100, 200])
@pytest.mark.parametrize("height", [4, 6, 9, 12, 24, 60])
def test_the_panel_fits_every_terminal(clock, width, height):
    display = Display(PLAN, log(), slots=9, hints=("a hint " * 30, "another"))
    for outcome in (finished("clef-1 seed 0", 60.0), finished("clef-1 seed 1", 60.0)):
        display.end(outcome)
    for seed in range(3):
        display.end(Outcome(TRIALS[f"random seed {seed}"], "FAILED", reason="out of memory " * 20))
    for trial in ("clef-31", "simclr-1", "simclr-31"):
        for seed in range(3):
            display.start(TRIALS[f"{trial} seed {seed}"])
    found = panel(display, width, height)
    assert len(found) <= max(height - 1, 3)
    assert {len(line) for line in found} == {min(width, 100)}, "every line is as wide as the frame"
    assert "5/15" in found[1]
    if height >= 9:
        assert any("clef-31" in line or "and 9 more" in line for line in found), "what runs is told first"
    if height == 24:
        told = "".join(found)
        assert all(words in told for words in ("best", "failed", "a hint", "another"))
        assert sum("simclr" in line or "clef-31 " in line for line in found) == 9, "all that run"
    if height == 12:
        assert any("and 8 more" in line for line in found)


def test_a_log_gets_one_line_per_trial_and_no_control_codes(clock):
    console = log()
    with Display(PLAN, console, slots=2) as display:
        display.start(TRIALS["clef-1 seed 0"])
        display.end(finished("clef-1 seed 0", 61.25))
        display.end(Outcome(TRIALS["clef-1 seed 1"], "PRUNED", reason="asha: valid/rsa 0.1 in epoch 2"))
        display.total(14)
        display.end(Outcome(TRIALS["clef-1 seed 2"], "FAILED", reason="a term [guided] is nan"))
        display.tell("MLflow does not answer [yet], waiting")
        clock.now += 200
    told = console.export_text(clear=False)
    assert told.splitlines() == [
        "  1/15 COMPLETE clef-1 seed 0      61.2 s  probe/auroc 0.800  zeroshot/rsa 0.300",
        "  2/15 PRUNED   clef-1 seed 1              asha: valid/rsa 0.1 in epoch 2",
        "  3/14 FAILED   clef-1 seed 2              a term [guided] is nan",
        "MLflow does not answer [yet], waiting",
        "3/14 done, 1 stopped early, 1 failed in 3 min",
    ]
    assert "\x1b" not in console.export_text(styles=False)


def test_a_log_hears_of_a_silent_sweep_once_a_minute(clock):
    console = log()
    display = Display(PLAN, console, slots=2)

    def beats(seconds):
        clock.now += seconds
        display.beat()
        return lines(console)

    display.start(TRIALS["clef-1 seed 0"])
    assert beats(59) == []
    assert beats(1) == ["0/15 done, 1 running"]
    assert beats(59) == []
    display.end(finished("clef-1 seed 0", 119.0))
    display.start(TRIALS["clef-1 seed 1"])
    lines(console)
    assert beats(30) == [], "the trial's line was a sign of life"
    assert beats(30) == ["1/15 done, 1 running, about 13 min left"]


def test_a_terminal_in_ci_is_a_log(clock, monkeypatch):
    terminal = Console(force_terminal=True, file=io.StringIO(), record=True, width=80)
    with Display(PLAN, terminal) as display:
        assert display._live is not None
    monkeypatch.setenv("CI", "true")
    with Display(PLAN, terminal) as display:
        assert display._live is None


SWEEP = """
import sys, time
sys.path.insert(0, {tests!r})
from test_progress import PLAN, complete
from clef_ray.cli.progress import Display
from rich.console import Console
with Display(PLAN, Console(), slots=2, hints=("MLflow UI: make ui",)) as display:
    for k, trial in enumerate(PLAN.unique()):
        display.start(trial)
        for epoch in range(1, 9):
            display.epoch(trial, {{"epoch": epoch, "loss": 4.0, "valid/rsa": 0.1, "records_per_second": 100}})
            time.sleep(0.02)
        display.end(complete(trial, 0.8))
        if k == 6:
            print("plain print in between")
            sys.stdin.readline()
            time.sleep(1.5)
"""


TOKEN = r"\x1b\[\??[\d;]*[A-Za-z]|\x1b.*|[^\x1b]"


class Screen:
    """As much of a terminal as the display uses. Its lines are never re-broken; what scrolls out is kept."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.rows, self.gone, self.x, self.y, self.text = [[]], [], 0, 0, ""

    def feed(self, text):
        *tokens, last = re.findall(TOKEN, self.text + text)
        broken = last.startswith("\x1b") and not last[-1].isalpha()
        self.text = last if broken else ""
        for token in tokens if broken else (*tokens, last):
            self._take(token)

    def _take(self, token):
        if token == "\r":
            self.x = 0
        elif token == "\n":
            self._down()
        elif not token.startswith("\x1b"):
            if self.x == self.width:
                self.x = 0
                self._down()
            row = self.rows[self.y]
            row += [" "] * (self.x + 1 - len(row))
            row[self.x] = token
            self.x += 1
        elif token.endswith("A"):
            self.y = max(0, self.y - int(token[2:-1] or 1))
        elif token.endswith("K"):
            assert token == "\x1b[2K"
            self.rows[self.y] = []
        elif token.endswith("J"):
            self.rows = [[]]
            self.x = self.y = 0
        else:
            assert token.endswith(("m", "h", "l", "H")), repr(token)

    def _down(self):
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append([])
        if self.y == self.height:
            self.gone.append(self.rows.pop(0))
            self.y -= 1

    def shown(self):
        return ["".join(row).rstrip() for row in self.rows]

    def everything(self):
        return ["".join(row).rstrip() for row in (*self.gone, *self.rows)]


def size(descriptor, width, height):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def read(descriptor, until, screen, seconds=30):
    """Feed the screen until its text satisfies `until`; whole panels only are looked at."""
    deadline = time.monotonic() + seconds
    decoder = codecs.getincrementaldecoder("utf-8")()
    while time.monotonic() < deadline:
        try:
            text = decoder.decode(os.read(descriptor, 65536))
        except OSError:  # the other end has closed
            return
        screen.feed(text)
        if until(screen):
            return
    raise AssertionError(screen.shown())


def drawn(screen):
    """Whether a panel is there to its last line, and nothing is left of what the terminal made of an earlier one."""
    text = "\n".join(screen.shown())
    return "7 complete" in text and text.rstrip().endswith("╯") and "torn" not in text


def whole(screen):
    """One panel, its frame unbroken, nothing of another one: the screen's lines without it."""
    shown = screen.shown()
    tops = [k for k, line in enumerate(shown) if "╭" in line]
    bottoms = [k for k, line in enumerate(shown) if "╰" in line]
    assert len(tops) == len(bottoms) == 1, shown
    assert all(line.startswith(("│", "╭", "╰")) for line in shown[tops[0] : bottoms[0] + 1]), shown
    rest = shown[: tops[0]] + shown[bottoms[0] + 1 :]
    assert not any(set(line) & set("│╭╰━") for line in rest), shown
    return rest


@pytest.mark.slow
def test_a_real_terminal_shows_one_whole_panel_before_and_after_a_change_of_size(tmp_path):
    script = tmp_path / "sweep.py"
    script.write_text(SWEEP.format(tests=os.path.dirname(__file__)))  # noqa: PTH120
    driver, terminal = pty.openpty()
    size(driver, 80, 24)
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": tests}
    for variable in ("CI", "COLUMNS", "LINES"):
        environment.pop(variable, None)
    command = [sys.executable, str(script)]
    child = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        screen = Screen(80, 24)
        read(driver, lambda s: any("plain print" in line for line in s.shown()), screen)
        read(driver, drawn, screen)
        rest = whole(screen)
        assert "plain print in between" in rest
        assert sum("COMPLETE" in line for line in screen.everything()) == 7

        size(driver, 60, 16)
        child.send_signal(signal.SIGWINCH)
        os.write(driver, b"\n")
        small = Screen(60, 16)
        small.rows = [list("│ torn " * 8) for _ in range(16)]  # what the terminal made of the old panel
        small.y = 15
        read(driver, drawn, small)
        whole(small)
        assert max(map(len, small.shown())) <= 60
        read(driver, lambda s: False, small)  # to the end
    finally:
        child.kill()
        child.wait(10)
        os.close(driver)
    assert child.stderr.read() == b""
    last = small.shown()
    assert not any(set(line) & set("│╭╰━") for line in last), "the panel is gone at the end"
    assert any(line.startswith("15/15 done in ") for line in last)
