"""Alembic's migrations of the state database; `state.migrate` runs them."""
