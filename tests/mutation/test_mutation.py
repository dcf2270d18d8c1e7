"""The mutants are those meant, and the verdicts on them are true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import explained
from tests.mutation.mutants import mutants_of

HERE = Path(__file__).resolve().parents[2]

PLANTED = """
LEAST = 18
NAMES = {"a": "anna"}


def of_age(years):
    return years >= LEAST


def name(letter):
    return NAMES.get(letter, "nobody")


def sign(number):
    if number > 0:
        return "plus"
    return "minus"


def down(number):
    steps = 0
    while number > 0:
        number -= 1
        steps += 1
    return steps


def never():
    return 7
"""

TESTS = """
import planted


def test_of_age():
    assert planted.of_age(18)
    assert not planted.of_age(17)


def test_name():
    assert planted.name("a") == "anna"
    assert planted.name("b") == "nobody"


def test_sign():
    assert planted.sign(5) == "plus"
    assert planted.sign(-5) == "minus"


def test_down():
    assert planted.down(3) == 3
    assert planted.down(0) == 0
"""

ALIVE = [
    ("sign", "if number > 0:", "if number >= 0:"),
    ("sign", "if number > 0:", "if number > 1:"),
    ("never", "return 7", "return None"),
    ("never", "return 7", "return 8"),
]


@pytest.fixture
def planted(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("mutants are tried in forks")
    (tmp_path / "planted.py").write_text(PLANTED)
    (tmp_path / "conftest.py").write_text(f"import sys\n\nsys.path.insert(0, {str(tmp_path)!r})\n")
    (tmp_path / "test_planted.py").write_text(TESTS)
    return tmp_path


def run(folder, *more):
    command = [
        sys.executable, "-m", "tests.mutation", "--source", folder / "planted.py", "--root", folder,
        "--tests", folder / "test_planted.py", "--explained", folder / "explained.toml", *more,
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, env=environment)


def told(function, before, after):
    return f"in {function}, ", f"\n- {before}\n+ {after}\n"


def explain(folder, *mutants, why="of no matter"):
    entry = "[[explained]]\nfile = 'planted.py'\nfunction = '{}'\nline = '{}'\nbecomes = ['{}']\nwhy = '{}'\n"
    text = "".join(entry.format(*mutant, why) for mutant in mutants)
    (folder / "explained.toml").write_text(text)


def test_of_a_planted_module_just_the_known_mutants_survive(planted):
    out = run(planted)
    assert out.returncode == 1, out.stderr
    for mutant in ALIVE:
        assert all(part in out.stdout for part in told(*mutant)), out.stdout
    assert out.stdout.count("\n+ ") == len(ALIVE)
    assert "reached by no test" in out.stdout
    row = next(line.split() for line in out.stdout.splitlines() if line.startswith("planted.py "))
    mutants, killed, survived, known = map(int, row[1:])
    assert (survived, known) == (len(ALIVE), 0)
    assert killed == mutants - survived > 15
    assert "time 2" in out.stdout  # what counts upwards for ever


def test_what_is_explained_is_no_failure(planted):
    explain(planted, *ALIVE)
    out = run(planted, "--function", "sign|never")
    assert out.returncode == 0, out.stdout + out.stderr
    assert "\n+ " not in out.stdout
    assert [line.split()[3:] for line in out.stdout.splitlines() if line.startswith("planted.py ")] == [
        ["0", "4"]
    ]


@pytest.mark.parametrize(
    ("mutant", "what"),
    [
        (("of_age", "return years >= LEAST", "return years > LEAST"), "killed by now"),
        (("of_age", "return years >= LEAST", "return years == LEAST"), "no such mutant"),
    ],
)
def test_an_explanation_that_fits_no_survivor_is_told_and_fails(planted, mutant, what):
    explain(planted, *ALIVE, mutant)
    out = run(planted, "--function", "sign|never|of_age")
    assert out.returncode == 1
    assert f"stale explanation ({what}): planted.py in of_age" in out.stdout


def test_tests_that_fail_by_themselves_tell_nothing(planted):
    (planted / "test_planted.py").write_text(
        TESTS + "\n\ndef test_wrong():\n    assert planted.never() == 8\n"
    )
    out = run(planted)
    assert out.returncode == 2
    assert "test_wrong" in out.stderr


def test_a_sample_is_the_same_for_the_same_seed(planted):
    first, second = (
        run(planted, "--sample", "5", "--seed", "7", "--function", "name|sign|of_age").stdout
        for _ in range(2)
    )
    tables = [
        [line for line in out.splitlines() if line.startswith("planted.py ")] for out in (first, second)
    ]
    assert tables[0] == tables[1]
    assert tables[0][0].split()[1] == "5"


@pytest.mark.parametrize(
    ("statement", "becomes"),
    [
        ("return a < b", ["return a <= b"]),
        ("return a is not None", ["return a is None"]),
        ("return a in b and not c", [
            "return a in b or not c", "return a not in b and not c", "return a in b and  c",
        ]),
        ("x += 2", ["x -= 2", "x = 2", "x += 3"]),
        ("self.x = y", ["pass"]),
        ("call(a)", ["pass", "call(None)"]),
        ("raise Wrong", ["pass"]),
        ('return "code"', ["return None", "return 'codeXX'"]),
        ('raise Wrong("a text for people")', ["pass"]),
        ('return f"{a}/{b}"', ["return None", 'return ""']),
        ('return f"for {a}"', ["return None"]),
        ("return max(a, 1)", [
            "return None", "return min(a, 1)", "return max(None, 1)", "return max(a, 2)",
        ]),
        ("if a: return", ["if (not (a)): return", "if a: pass"]),
        ("return a & 0x04 | b", [
            "return None", "return a | 0x04 | b", "return a & 0x8 | b", "return a & 0x04 & b",
        ]),
        ("assert a < b", []),
        ("x: int | None = 0x80", ["x: int | None = 0x81"]),
    ],
)  # fmt: skip
def test_a_statement_is_made_wrong_in_these_ways(statement, becomes):
    made = [it.after for it in mutants_of(f"def f(a, b, c, x, y, self):\n    {statement}\n", "x.py")]
    assert sorted(made) == sorted(" ".join(it.split()) for it in becomes)


def test_every_mutant_can_be_compiled_and_says_where_it_is():
    source = Path(explained.__file__).read_text()
    mutants = mutants_of(source, "explained.py")
    assert len(mutants) > 20
    for mutant in mutants:
        compile(mutant.source, "explained.py", "exec")
        assert mutant.before != mutant.after
        assert mutant.owner is None or mutant.function.startswith(mutant.owner)


def test_an_explanation_without_a_reason_is_refused(tmp_path):
    explain(tmp_path, ALIVE[0], why=" ")
    with pytest.raises(ValueError, match="explained by nothing"):
        explained.read(tmp_path / "explained.toml")


def test_a_draft_can_be_read_again(tmp_path):
    mutants = mutants_of('def f(a):\n    return a == \'"\' or "\\0x" in a\n', "f.py")
    (tmp_path / "explained.toml").write_text(explained.draft(mutants).replace('why = ""', 'why = "drafted"'))
    keys = [key for one in explained.read(tmp_path / "explained.toml") for key in one.keys]
    assert keys == [(it.file, it.function, it.before, it.after) for it in mutants]
