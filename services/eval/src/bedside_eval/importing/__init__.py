"""Published exams, as they lie on a disk, into the format of `bedside_core.kinds.exam`.

Tested in tests/eval/importing/test_layouts.py.
"""
