"""What keeps a work store and its tables small: old working files, old snapshots, and jobs that nobody waits for."""
