"""What an instructor makes and proves: notebooks from solutions, samples, the self-test and its attacks."""
