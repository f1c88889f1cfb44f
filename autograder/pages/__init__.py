"""What people look at: feedback, graded notebooks and the templates of all pages, made from verdicts."""
