"""Base model import and continual pre-training (CPT)."""

import os

# No model hub from here, whatever a library would like; they read this when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
