"""Copies are found, whatever they are renamed to; right answers that were written apart are not flagged."""

import itertools
import re
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograder.authoring import percent
from autograder.classroom import similarity
from autograder.classroom.similarity import ENOUGH, THRESHOLD, Section, Work, alike
from autograder.exercises.catalogue import assignment_named, available_assignments


def stubs(name):
    """What students are given of each answer, as a work: its text never counts."""
    cells = (percent.without_solution(c.source) for c in percent.read(name).cells if "exercise" in c.metadata)
    return Work("given", [Section.of("", cell) for cell in cells]).grams


def student(name, answers, given_hashes=None):
    return Work(name, [Section.of(str(i), answer) for i, answer in enumerate(answers)], given_hashes)


def written_apart(chapter):
    """Students of whom no two have taken the same alternative, and one who wrote the reference."""
    exercises = assignment_named(chapter).exercises
    functions = [[e.reference, *e.alternatives] for e in exercises]
    return [
        student(f"student {i}", [e.source(f[i]) for e, f in zip(exercises, functions)], stubs(chapter))
        for i in range(min(len(f) for f in functions))
    ]


NAMES = re.compile(r"\b(labels|noisy|coupling|field|rng|row|column|s|t|i|j|p|n|m|pull|around|seen)\b")


def renamed(source):
    """The same code with other names, other spacing, other words and comments."""
    source = NAMES.sub(lambda found: f"my_{found[0]}_of_old", source)
    return (
        re.sub(r'"""(.*?)"""', '"""Words."""', source, flags=re.S).replace("    ", "  ") + "\n# my own work"
    )


@pytest.mark.parametrize("chapter", available_assignments())
def test_right_answers_written_apart_are_not_flagged(chapter):
    works = written_apart(chapter)
    assert len(works) >= 4
    assert min(work.length for work in works) > 100
    assert max(a.share(b) for a, b in itertools.permutations(works, 2)) < 0.15 < THRESHOLD / 2
    assert alike(works, THRESHOLD).count == 0


@pytest.mark.parametrize("chapter", ["ising", "mcmc"])
def test_a_copy_is_found_after_everything_in_it_was_renamed(chapter):
    exercises = assignment_named(chapter).exercises
    answers = [e.source(e.alternatives[0]) for e in exercises]
    copied = [renamed(answer) for answer in answers]
    assert all(copy != answer for copy, answer in zip(copied, answers))
    apart = written_apart(chapter)[2:]
    works = [student("writer", answers, stubs(chapter)), *apart, student("copier", copied, stubs(chapter))]
    (pair,) = alike(works, THRESHOLD).pairs
    assert {pair.left.name, pair.right.name} == {"writer", "copier"}
    assert pair.share > 0.95 * works[0].length / max(works[0].length, ENOUGH)


def test_half_of_an_assignment_copied_is_found():
    exercises = assignment_named("mcmc").exercises
    first, second = ([e.source(e.alternatives[k]) for e in exercises] for k in (1, 2))
    mixed = [*first[:3], *second[3:]]
    works = [student("one", first), student("other", mixed)]
    assert alike(works, THRESHOLD).count == 1


def test_what_students_were_given_never_counts():
    given_hashes = stubs("ising")
    sources = [
        percent.without_solution(c.source) for c in percent.read("ising").cells if "exercise" in c.metadata
    ]
    works = [student(name, sources, given_hashes) for name in ("one", "other")]
    assert [work.length for work in works] == [0, 0]
    assert alike(works, 0.01).count == 0


def test_one_short_answer_that_everybody_writes_is_no_likeness():
    answer = "def add(first, second):\n    total = first + 2 * second\n    return total / (1 + abs(total))"
    works = [student(name, [answer]) for name in ("one", "other")]
    assert 0 < works[0].length < ENOUGH / 2
    assert alike(works, THRESHOLD).count == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 0.3]))
def test_no_pair_is_missed_by_counting_first(seed, threshold):
    rng = np.random.default_rng(seed)
    pieces = [f"x = f({i}, {i * 7}, {i * 13}) + g[{i}] * {i * i}\n" for i in range(30)]
    works = [
        student(f"{i}", ["".join(pieces[k] for k in rng.choice(30, 8))] * int(rng.integers(1, 3)))
        for i in range(12)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK", 5)
        found = [(pair.left.name, pair.right.name) for pair in alike(works, threshold).pairs]
    shares = {(a.name, b.name): max(a.share(b), b.share(a)) for a, b in itertools.combinations(works, 2)}
    assert sorted(found) == sorted(pair for pair, share in shares.items() if share >= threshold)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_groups_are_what_pairs_link_and_the_most_alike_are_shown(seed, shown):
    rng = np.random.default_rng(seed)
    pieces = [f"x = f({i}, {i * 7}, {i * 13}) + g[{i}] * {i * i}\n" for i in range(30)]
    works = [student(f"{i}", ["".join(pieces[k] for k in rng.choice(30, 6))]) for i in range(12)]
    graph = {work.name: {work.name} for work in works}
    every = alike(works, 0.08)
    for pair in every.pairs:
        joined = graph[pair.left.name] | graph[pair.right.name]
        graph |= dict.fromkeys(joined, joined)
    groups = {frozenset(group) for group in graph.values() if len(group) > 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK", 5)
        patch.setattr(similarity, "SHOWN", shown)
        found = alike(works, 0.08)
    assert {frozenset(work.name for work in group) for group in found.groups} == groups
    assert found.count == every.count == len(every.pairs)
    assert found.pairs == every.pairs[:shown]
    shares = [pair.share for pair in every.pairs]
    assert shares == sorted(shares, reverse=True)


def test_two_thousand_copies_cost_no_step_and_no_memory_for_each_pair(monkeypatch):
    monkeypatch.setattr(similarity, "ENOUGH", 1)
    copy = Section.of("answer", "total = 2 * (first + second) / (third - fourth) ** 3 + fifth[sixth:7]")
    works = [Work(f"{i}", [copy]) for i in range(2000)]
    alike(works[:3], THRESHOLD)  # imports
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    tracemalloc.start()
    sys.setprofile(count)
    try:
        found = alike(works, THRESHOLD)
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (found.count, len(found.pairs)) == (1_999_000, similarity.SHOWN)
    assert [len(group) for group in found.groups] == [2000]
    assert calls < 100_000
    assert peak < 20 * 8 * similarity.BLOCK * len(works)


TEXTS = st.lists(
    st.sampled_from(
        ["def f(x):\n", "class A:\n", "    return x\n", "# why\n", "'''\n", "é = \t1\n", "\x00(", "x" * 30]
    )
).map("".join)


@settings(deadline=None)
@given(TEXTS | st.text())
@example("class Long_name:\n    def method(self):\n        return self.value + other[1:2] * 3 ** 4\n")
def test_marking_changes_no_character(text):
    section = Section.of("answer", text)
    pieces = section.marked(section.grams)
    if section.text.count("\n") <= similarity.LONG:
        assert "".join(piece for piece, _ in pieces) == section.text


def test_what_is_marked_is_what_is_common():
    common = "total = sum(weight * value + 2.5 ** 3 for weight, value in zip(weights[1:], values[:-1]))\n"
    left = student("left", [f"import math\n{common}math.floor(1.5)\n"])
    right = student("right", [f"class Other:\n    pass\n\n\n{common}print([1, 2, 3])\n"])
    (row,) = alike([left, right], 0.01).pairs[0].rows
    for pieces in (row.left, row.right):
        (marked,) = [text for text, is_common in pieces if is_common]
        assert marked.strip() == common.strip()


def test_long_texts_are_shown_where_they_agree():
    common = "total = sum(weight * value + 2.5 ** 3 for weight, value in zip(weights[1:], values[:-1]))"
    filler = "\n".join(f"print({i}, 'filler')[{i}]" for i in range(100))
    left, right = student("left", [f"{filler}\n{common}\n"]), student("right", [common])
    (row,) = alike([left, right], 0.01).pairs[0].rows
    shown = "".join(text for text, _ in row.left)
    assert shown.count("\n") < 20
    assert common in shown
