"""A step of `nbgrader generate_assignment`: the error in place of an answer names the exercise."""

from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.authoring.percent import STUB, stub


class NameExercises(NbGraderPreprocessor):
    """Comes after `ClearSolutions`, which knows one stub for all cells."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """`cell` with its own exercise's name in its stub."""
        exercise = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        cell.source = cell.source.replace(STUB, stub(exercise))
        return cell, resources
