"""Models that answer a benchmark's items, from an untrained puppet to CovOG, and the degenerate controls."""

import os

# diffusers and huggingface_hub read it when they are first imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
