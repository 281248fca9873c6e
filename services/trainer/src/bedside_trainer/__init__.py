"""Base model import and continual pre-training (CPT)."""

import os

# Read when torch is first imported: threads that wait shall sleep. Beside other work, spinning ones
# cost a third of the speed; alone, sleeping ones cost a few per cent (docs/log.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
