"""What everything stands on: errors, files, the validated settings, and the paths and commands of each run."""
