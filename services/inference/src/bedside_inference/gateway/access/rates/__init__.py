"""Where the use of each key is counted: in the process or in PostgreSQL."""
