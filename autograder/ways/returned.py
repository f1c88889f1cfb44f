"""Feedback as a zip that an LMS takes back in bulk: each page under the name that the LMS gave the hand-in.

    canvas                       name_ID_ATTACHMENT_file.html          upload under Gradebook, "Upload submissions"
    moodle                       Name_ID_assignsubmission_file_/…      "Upload multiple feedback files in a zip"
    brightspace, ilias           the folder that it came in            "Add feedback files", multi-feedback upload
    sakai                        …/Feedback Attachment(s)/…            "Upload all"
    folders                      STUDENT/ASSIGNMENT.html               by hand, or for anything else

Blackboard, Google Classroom and Gradescope take no files back in bulk.
"""

import dataclasses
import io
import zipfile
from pathlib import Path

from autograder.atomic import write_atomically
from autograder.authoring.hand_out import ZIP_DATE
from autograder.classroom import arrivals
from autograder.classroom.arrivals import Arrival
from autograder.classroom.roster import Person, Roster
from autograder.course import Course

SYSTEMS = ("canvas", "moodle", "brightspace", "sakai", "ilias", "folders")


@dataclasses.dataclass(frozen=True)
class Returned:
    """The zip, how many pages are in it, and for whom there was no name to give."""

    path: Path
    pages: int
    left_out: tuple[str, ...]


def pack(course: Course, assignment: str, system: str) -> Returned:
    """Write `dist/feedback/ASSIGNMENT-SYSTEM.zip`; raises `ValueError` where no page can go back so."""
    came = arrivals.noted(course, assignment)
    people = {person.student: person for person in Roster.of(course).people}
    pages, left_out = {}, []
    for page in sorted(course.folder("feedback").glob(f"*/{assignment}/{assignment}.html")):
        student = page.parts[-3]
        place = _place(system, assignment, student, came.get(student), people.get(student))
        if place:
            pages[place] = page.read_bytes()
        else:
            left_out.append(student)
    if not pages:
        raise ValueError(
            f"no feedback of {assignment} can go back to {system}: nothing was collected from there; collect its "
            "own download, or write --zip folders"
        )
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pages.items():
            information = zipfile.ZipInfo(name, ZIP_DATE)
            information.compress_type = zipfile.ZIP_DEFLATED
            information.external_attr = 0o644 << 16
            archive.writestr(information, data)
    path = course.root / "dist" / "feedback" / f"{assignment}-{system}.zip"
    write_atomically(path, memory.getvalue())
    return Returned(path, len(pages), tuple(left_out))


def _place(system: str, assignment: str, student: str, came: Arrival | None, person: Person | None) -> str:
    """The name of a student's page in the zip; empty if the system gave none."""
    page = f"{assignment}.html"
    if system == "folders":
        return f"{student}/{page}"
    if came is None or came.system != system or not came.place:
        if system == "moodle" and person is not None and person.participant:
            return f"{person.name.replace('_', ' ')}_{person.participant}_assignsubmission_file_/{page}"
        return ""
    match system:
        case "canvas":
            return came.place.removesuffix(".ipynb") + ".html"
        case "sakai":
            return f"{came.source.split('/Submission attachment(s)/')[0]}/Feedback Attachment(s)/{page}"
    return f"{came.place}/{page}"
