"""Makes this folder an nbgrader course. Its settings stand in course.toml; add nbgrader's own below."""

from autograder.authoring.nbgrader_course import configure

c = get_config()  # noqa: F821
configure(c, __file__)
