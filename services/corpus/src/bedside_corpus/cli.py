from bedside_core.cli import Command

COMMANDS: tuple[Command, ...] = ()
