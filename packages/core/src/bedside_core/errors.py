"""The error tree. A user-caused problem is one of these; anything else is a bug (exit code 1).

    BedsideError
      ConfigError    exit 2   a config file, an override or an environment variable is wrong
      InputError     exit 3   documents, models or exams given to a service are unusable
      ArtifactError  exit 4   an artifact is missing, incomplete, tampered with or cannot be written
      PolicyError    exit 5   a verdict or a guard said no

A message says what was wrong, with the value, and what to do. It never quotes document or
prompt text.

Tested in tests/core/test_cli.py.
"""


class BedsideError(Exception):
    """A problem that the user can mend; `exit_code` becomes the process's exit status."""

    exit_code = 1


class ConfigError(BedsideError):
    """A config file, an override or an environment variable is wrong."""

    exit_code = 2


class InputError(BedsideError):
    """Documents, models or exams given to a service are unusable."""

    exit_code = 3


class ArtifactError(BedsideError):
    """An artifact is missing, incomplete, tampered with or cannot be written."""

    exit_code = 4


class PolicyError(BedsideError):
    """A verdict or a guard said no."""

    exit_code = 5
