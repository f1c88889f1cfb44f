"""`nbgrader autograde` with our judge: the same scores, no kernel, the rest of nbgrader untouched."""

import base64
import io
import json
import re

import pytest
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from autograder.classroom.gradebook import settings
from autograder.ways.nbgrader import close_lanes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nbgrader")]  # its class is graded once

HOSTILE = "<script>alert(1)</script>\n<img src=x onerror=alert(2)>\n\n<div onclick='alert(3)'>x</div>"
ANSWERS = {
    "right": {},
    "squares": {"double": "def double(x):\n    return x ** 2"},
    "noisy": {"toy-01": "import warnings\nimport numpy as np\nwarnings.warn('careful')"},
    "forger": {
        "toy-01": "import numpy as np\nget_ipython().input_transformers_cleanup.append(lambda lines: [])"
    },
    "unsolved": {"double": "pass", "add": "pass"},
    "written": {"why": "Because $a<b$ and " + HOSTILE, "toy-00": "[x](javascript:alert(4)) " + HOSTILE},
    "pasted": {
        "why": "![image.png](attachment:image.png) ![](attachment:photo.jpg) ![](attachment:gone.png)\n\n"
        "![seen](http://tracker.example/pixel.png)"
    },
}


class Refuse:
    """Stands for a kernel's manager; no kernel may start."""

    def __init__(self, *_args, **_kwargs):
        raise AssertionError("a kernel was started")


def config_of(room):
    config = settings(room.course)
    config.CourseDirectory.assignment_id = "toy"
    config.JudgeNotebook.isolation = "none"
    return config


def api_of(room) -> NbGraderAPI:
    config = config_of(room)
    return NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)


def feedback_of_nbgraders(room, student: str) -> str:
    """The page that nbgrader makes where a course does not name ours."""
    config = config_of(room)
    del config["GenerateFeedback"]
    answer = NbGraderAPI(coursedir=CourseDirectory(config=config), config=config).generate_feedback(
        "toy", student, force=True
    )
    assert answer["success"], answer.get("log")
    return room.course.folder("feedback", student, "toy", "toy.html").read_text()


def png() -> str:
    from PIL import Image

    memory = io.BytesIO()
    Image.new("RGB", (3, 2), (20, 30, 200)).save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode()


def with_attachments(notebook: bytes) -> bytes:
    """The notebook with pictures attached to the cell that shows some."""
    tree = json.loads(notebook)
    for cell in tree["cells"]:
        if "attachment:" in "".join(cell["source"]):
            cell["attachments"] = {"image.png": {"image/png": png()}, "photo.jpg": {"image/jpeg": "AAAA"}}
    return json.dumps(tree).encode()


@pytest.fixture(scope="module")
def both(shared_classroom):
    """The same class graded by `autograder grade`, and then by nbgrader."""
    room = shared_classroom
    right = {"double": "def double(x):\n    return 2 * x", "add": "def add(x, y):\n    return x + y"}
    for student, answers in ANSWERS.items():
        room.submit(student, with_attachments(room.answered(right | answers)))
    room.grade()
    room.ours = {student: vars(room.entries(student)) for student in ANSWERS}
    room.our_cells = {student: room.autograded(student).cells for student in ANSWERS}
    with room.book() as book:
        for student in ANSWERS:
            book.remove_submission("toy", student)
    for verdict in room.course.folder("results", "toy").glob("*.json"):
        verdict.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbclient.client.NotebookClient.create_kernel_manager", Refuse)
        api = api_of(room)
        for student in ANSWERS:
            answer = api.autograde("toy", student, force=True)
            assert answer["success"], answer.get("log")
    close_lanes()
    return room


@pytest.mark.parametrize("student", ANSWERS)
def test_nbgrader_and_autograder_agree_on_scores_and_comments(both, student):
    assert vars(both.entries(student)) == both.ours[student]


@pytest.mark.parametrize("student", ANSWERS)
def test_nbgrader_and_autograder_write_the_same_cells(both, student):
    assert both.autograded(student).cells == both.our_cells[student]


def test_the_scores_are_those_deserved(both):
    totals = {student: sum(both.entries(student).score.values()) for student in ANSWERS}
    assert totals == {
        "right": 80,
        "squares": 40,
        "noisy": 80,
        "forger": 0,
        "unsolved": 0,
        "written": 80,
        "pasted": 80,
    }


def test_nbgraders_own_feedback_works_and_runs_nothing_of_a_students(both):
    hostile = feedback_of_nbgraders(both, "written")
    cells = hostile[hostile.index("<body") :]
    assert "Because" in cells
    assert "alert(" in cells
    assert not re.search(r"<(script|img|div)[^>]*(>alert|onerror|onclick)", cells)
    assert "javascript:" not in cells
    assert "Twice a number is not its square." in feedback_of_nbgraders(both, "squares")


def test_a_pasted_picture_is_shown_by_nbgrader_and_others_are_named(both):
    page = feedback_of_nbgraders(both, "pasted")
    assert re.findall(r'<img[^>]*src="([^"]*)"', page) == [f"data:image/png;base64,{png()}"]
    for words in ("left out: photo.jpg", "left out: gone.png", "left out: seen, "):
        assert words in page
