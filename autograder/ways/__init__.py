"""In and out of other systems: downloads of an LMS, nbgrader's commands, Gradescope, exports."""
