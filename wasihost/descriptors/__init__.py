"""What an open descriptor is, one file per kind."""
