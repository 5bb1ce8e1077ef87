"""Watching a run: what it has done, what it does and how long it may take, here, in a file and over HTTP."""
