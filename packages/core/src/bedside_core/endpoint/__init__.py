"""A client for OpenAI-compatible servers of the house, for annotation, judges and replay.

`client` needs the extra `bedside-core[endpoint]`; `config` and `cache` need nothing more than core.
"""
