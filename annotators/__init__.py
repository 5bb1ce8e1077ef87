"""One folder a model family: a contract, its backends, and a fake for tests."""
