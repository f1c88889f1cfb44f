"""Bytes in, verdict out: reads a notebook, asks its functions in the sandbox, decides."""
