"""What is measured of several trained runs side by side, or of the processes alone."""
