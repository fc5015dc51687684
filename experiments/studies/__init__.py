"""Studies of trained runs, alone or side by side, and of the processes alone."""
