"""An exam: JSON Lines, an item per line; how it is written, read, put to a model and looked up.

Tested in tests/core/kinds/exam/test_files.py, tests/core/kinds/exam/test_items.py.
"""

from bedside_core.kinds.exam.files import parsed, read_exam
from bedside_core.kinds.exam.items import (
    ChoiceItem,
    DocumentItem,
    ExamItem,
    InstructionItem,
    OpenItem,
    ShortItem,
)
from bedside_core.kinds.exam.wording import WORDING_SHA256

__all__ = [
    "WORDING_SHA256",
    "ChoiceItem",
    "DocumentItem",
    "ExamItem",
    "InstructionItem",
    "OpenItem",
    "ShortItem",
    "parsed",
    "read_exam",
]
