"""Base model import and continual pre-training (CPT)."""

import os

# Both are read when the libraries are first imported. No model hub, whatever they would like; and
# threads that wait shall sleep: on a machine with other work, spinning ones cost a third of the
# speed, on an idle one sleeping ones cost a few per cent.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
