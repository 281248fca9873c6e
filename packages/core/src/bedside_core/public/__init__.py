"""What a house says of a promoted model in formats that others verify with tools of their own.

All of it is derived from manifests, evidence and the registry's log, which stay the source of
truth; equal inputs give equal bytes. `docs/public-formats.md` says which file says what.
"""
