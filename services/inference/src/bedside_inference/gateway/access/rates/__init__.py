"""Where the use of each key is counted: in the process, in Valkey or in PostgreSQL."""
