"""What every command does with its output: check the place, hold it, write rows that stay rows."""
