"""How hidden checks are written: exercises, what a check sees of an answer, and where assignments are found."""
