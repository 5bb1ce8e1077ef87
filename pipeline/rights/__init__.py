"""Rights: withdraw a source or a person from everything that was written, and prove what belongs together."""
