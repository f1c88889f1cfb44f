"""In and out of other systems: nbgrader's commands, Gradescope, exports."""
