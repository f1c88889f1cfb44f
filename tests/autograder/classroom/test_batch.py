"""Grading a class: parallel, resumable, and fair to whatever is handed in."""


def test_a_small_class(classroom, right):
    classroom.submit("ada", right)
    classroom.submit("bob", {"double": "def double(x):\n    return x ** 2"})
    classroom.submit("cleo", b"{not json")
    rows = classroom.grade()
    print(rows)
    print(classroom.entries("ada"), classroom.entries("bob"), classroom.entries("cleo"))
    assert rows["ada"].score == 80
