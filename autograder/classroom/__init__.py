"""A class: work that came in, lanes that grade it, verdicts kept, the gradebook, reports on all of it."""
