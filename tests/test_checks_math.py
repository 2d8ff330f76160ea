"""Mathematics is compared by meaning, in bounded time, from any thread and any kind of program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from vlaa_thinking.checks import math
from vlaa_thinking.checks.number import Number, read_number
from vlaa_thinking.checks.pool import POOL, Pool, Worker
from vlaa_thinking.record import Gold

ROOT = Path(__file__).parents[1]


def gold(answer: str, tolerance: float = 0.0) -> Gold:
    return Gold(answer_type="math", answer=answer, tolerance=tolerance)


RIGHT = {
    "y = 2x + 3": [
        "y=2x+3", "2x+3", "y = 3 + 2x", "f(x) = 2x+3", "The function is y = 2x + 3.", "The function is $y=2x+3$", "y-2x=3",
        r"\[\boxed{y = 2x + 3}\]", "y = 2*x + 3", "2(x+1.5)", "**Answer:** y = 2x + 3", r"$$y = 2x + 3$$",
    ],
    "3": [
        "x=3", "3.0", "three", "1+2", "x = 1 + 2 = 3", r"$\frac{6}{2}$", r"\sqrt{9}", "3 cm", "3 apples", "about 3", "300%",
        "the value is 3", "Area = 3 cm^2", "AB = 3", "3x = 9, so x = 3", "1+1+1=3", "Therefore, 3", "3 = x", "≈ 3",
    ],
    r"\frac{1}{2}": ["0.5", "1/2", "50%", r"50\%", r"\dfrac12", "½", r"\frac{2}{4}", "one half", "x = 0.5"],
    "12 cm": ["12", "12cm", "12 centimeters", "120 mm", "0.12 m"],
    r"3\sqrt{2}": ["3√2", r"\sqrt{18}", "3*sqrt(2)", r"\sqrt{2} \times 3", r"The area is $3\sqrt{2}$ cm", r"Area = 3\sqrt{2}"],
    r"y = -2\sin(x+1)": ["y=-2 sin(x+1)", r"-2\sin(x+1)", "-2*sin(1+x)"],
    r"60^\circ": ["60", "60°", "60 degrees", r"\angle A = 60°", "∠ABC = 60°"],
    "x^2+2x+1": ["(x+1)^2", "x²+2x+1", "(x+1)**2"],
    "1000": ["1,000", "10^3", "1e3", "1 000", r"1\,000", r"1 \times 10^3"],
    "-1/2 x": [r"-\frac{x}{2}", "-x/2", "-0.5x"],
    "(1,2)": ["(1, 2)", "x=1, y=2"],
    r"\pm 3": ["±3", "3, -3", "3 or -3"],
    r"x \le 3": ["x<=3", "x≤3"],
    "y = e^{2x}": ["exp(2x)", "y = e^(2x)"],
    "50%": ["0.5", "50 percent"],
    r"\text{no solution}": ["No solution.", r"\text{No solution}", "no solution"],
    r"\emptyset": [r"\varnothing", "∅", r"$\emptyset$"],
}  # fmt: skip

WRONG = {
    "y = 2x + 3": ["2x-3", "y=2x", "a = 2", "3", "z = 2x + 3", "not y = 2x + 3", "y = 2x + 3 or y = 2x - 3", "the slope is 2", ""],
    "3": [
        "x+1=3", "2x=6", "3 or 4", "not 3", "The answer is not 3", "x = 3, x = -3", "3x", "3²", "3 4", r"y \neq 3", "-3", "33",
        "I do not know", "2<x<3", "3%", "3.0000001", r"\boxed{3} or \boxed{4}", "3i", "7/2", "3" * 5_000, "3, 4", "x^3", "x = 4 or x = 3", "x=4 x=3", "x=4; x=3", "more than 3", "at least 3", "3 or more", "x > 3",
        "3 thousand", "$4$ or $3$",
    ],
    "7": ["3 4", "34", "3, 4"],
    "34": ["3 4", "3,4"],
    "x=2": ["x=3 or x=2", "y=2", "x=-2", "2x"],
    r"\frac{1}{2}": ["0.51", "2", "-1/2", "1/3", "three quarters", "5%"],
    "12 cm": ["12 m", "12 kg", "12 cm^2", "12 mm", "12 degrees"],
    r"3\sqrt{2}": ["4.24", r"3\sqrt{3}", "6"],
    r"60^\circ": ["120°", "60 rad", "6"],
    "(1,2)": ["(2,1)", "[1,2]", "1"],
    "3m": ["3"],
    r"\pm 3": ["3", "-3"],
    r"x \le 3": ["x<3", "x>=3"],
    "50%": ["5%", "50"],
    "1000": ["1e999999999", "1" + "0" * 1_900, "1,00", "100"],
    "0.000001": ["0.0000012", "1e-7"],
    r"\pi": ["3.14"],
    r"\text{no solution}": ["a solution", "x = 1", "0", "infinitely many solutions"],
    r"\emptyset": ["0", "x", r"\{0\}"],
}  # fmt: skip


@pytest.mark.parametrize(("answer", "prediction"), [(a, p) for a, ps in RIGHT.items() for p in ps])
def test_right(answer: str, prediction: str) -> None:
    score = math.check(prediction, gold(answer))
    assert score.value == 1.0, score.reason


@pytest.mark.parametrize(("answer", "prediction"), [(a, p) for a, ps in WRONG.items() for p in ps])
def test_wrong(answer: str, prediction: str) -> None:
    score = math.check(prediction, gold(answer))
    assert not score.value, score.reason


def test_tolerance() -> None:
    assert math.check("4.24", gold(r"3\sqrt{2}", 0.001)).value == 1.0
    assert math.check("4.2", gold(r"3\sqrt{2}", 0.001)).value == 0.0
    assert math.check("3.141", gold("3.14", 0.002)).value == 1.0
    assert math.check("1001", gold("1000", 0.01)).value == 0.0  # whole numbers are no decimals


SUM = r"\sum_{k=1}^{3} k"
"""Six, for which Math-Verify must be asked."""


def test_exact_asks_no_worker() -> None:
    idle = list(POOL._idle)
    assert math.exact("6", gold(SUM)) is None
    for prediction, answer in (("2/6", "1/3"), ("y=3+2x", "y = 2x + 3")):
        score = math.exact(prediction, gold(answer))
        assert score is not None
        assert score.value == 1.0
    assert idle == POOL._idle


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-1,234.5", Number(Fraction(-2469, 2))),
        ("1e3", Number(Fraction(1000))),
        (r"1.2 \times 10^{-2}", Number(Fraction(3, 250))),
        ("1 1/2", Number(Fraction(3, 2))),
        (r"-\frac{3}{4}", Number(Fraction(-3, 4))),
        ("50%", Number(Fraction(1, 2), "%")),
        ("$12.40", Number(Fraction(62, 5), "$")),
        ("12 cm²", Number(Fraction(12), "cm^2")),
        ("12 square centimeters", Number(Fraction(12), "cm^2")),
        ("3 square units", Number(Fraction(3))),
        ("minus twenty-one", Number(Fraction(-21))),
    ],
)
def test_numbers(text: str, number: Number) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text", ["1e99999", "1/0", r"\frac{1}{0}", "1" * 90, "9" * 100_000, "3x", "3m", "1.2.3", "", "cm", "$"]
)
def test_what_is_no_number(text: str) -> None:
    assert read_number(text) is None


HOSTILE = ["9^{9^{9^{9}}}", "(" * 900 + "1" + ")" * 900, "x^" * 400 + "2", r"10^{10^{10}}!", r"\frac{" * 300 + "1",
           r"\sum_{n=1}^{10^{9}} n", "x=" * 900 + "1"]  # fmt: skip


def test_hostile_mathematics_comes_back_in_time() -> None:
    with closing(Pool(size=1, limit=0.3)) as pool:
        for prediction in HOSTILE:
            start = time.perf_counter()
            assert not pool.compare(prediction, "3").value, prediction
            assert time.perf_counter() - start < 60, prediction  # it does not hang


def test_a_comparison_over_its_limit_ends_and_the_worker_goes_on() -> None:
    with closing(Pool(size=1)) as pool:
        for _ in range(3):
            score = pool.compare(HOSTILE[0], "3")
            assert score.value is None
            assert "longer than 0.4 s" in score.reason
            assert pool.compare("1+2", "3").value == 1.0
        (worker,) = pool._idle
        assert worker.asked == 6


def test_what_is_too_large_to_reckon_is_not_asked_at_all() -> None:
    idle = list(POOL._idle)
    for prediction in ("9^{9^{9^{9}}}", "2^{10^{9}}", "100000!", "(" * 900 + "1" + ")" * 900):
        assert math.check(prediction, gold("3")).value is None
    assert idle == POOL._idle


def test_eight_threads_share_the_pool() -> None:
    pairs = [(str(number + number % 2), rf"\sum_{{k={number}}}^{{{number}}} k") for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        values = list(threads.map(lambda pair: math.check(pair[0], gold(pair[1])).value, pairs))
    assert values == [float(number % 2 == 0) for number in range(40)]


def test_a_killed_worker_is_replaced_and_none_is_left_over() -> None:
    with closing(Pool(size=1)) as pool:
        assert pool.compare("1+1", "2").value == 1.0
        (worker,) = pool._idle
        worker.process.kill()
        worker.process.wait()
        assert pool.compare("1+1", "2").value == 1.0
        (worker,) = pool._idle
    assert worker.process.returncode == 0  # its input ended, and so did it


def test_a_worker_prints_nothing_of_its_own() -> None:
    with closing(Worker()) as worker:
        assert worker.compare(r"\frac{", "3", 0.0, 2) == {"number": 1, "equal": None}
        answer = worker.compare("3 +* 4 \\foo", "3", 0.0, 2)
        assert answer in ({"number": 2, "equal": None}, {"number": 2, "equal": False})


def script(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments, "-"],
        input=text, capture_output=True, text=True, timeout=600, env=environment, check=False,
    )  # fmt: skip


def test_it_works_in_a_program_read_from_standard_input() -> None:
    done = script(
        "from vlaa_thinking.checks.math import check\n"
        "from vlaa_thinking.record import Gold\n"
        f"print(check('6', Gold(answer_type='math', answer={SUM!r})).value)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1.0\n", "")


def test_a_forked_child_has_its_own_workers() -> None:
    done = script(
        "import os\n"
        "from vlaa_thinking.checks.math import check\n"
        "from vlaa_thinking.record import Gold\n"
        f"gold = Gold(answer_type='math', answer={SUM!r})\n"
        "assert check('6', gold).value == 1.0\n"
        "child = os.fork()\n"
        "for turn in range(20):\n"
        "    assert check('6', gold).value == 1.0 and check('7', gold).value == 0.0\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    print('both')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "both\n", "")


def test_a_worker_ends_with_a_killed_parent_even_in_the_middle_of_a_question() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = (
        "import threading, time\n"
        "from vlaa_thinking.checks.pool import Pool\n"
        "pool = Pool(size=1, limit=1)\n"
        "pool.compare('1', '1')\n"
        "print(pool._idle[0].process.pid, flush=True)\n"
        "pool.compare('9^{9^{9^{9}}}', '1')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    deadline = time.monotonic() + 8
    while _runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(process: int) -> bool:
    """A zombie that nobody has reaped has ended."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_the_pool_starts_nothing_on_import() -> None:
    done = script(
        "import sys, vlaa_thinking.checks.math\nprint('math_verify' in sys.modules, 'sympy' in sys.modules)\n"
    )
    assert done.stdout == "False False\n"


def test_more_callers_than_workers_wait_their_turn() -> None:
    with closing(Pool(size=1)) as pool:
        threads = [threading.Thread(target=pool.compare, args=("1+1", "2")) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pool._idle) == 1
    POOL.close()
