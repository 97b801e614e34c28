"""What may make a test accuracy too good: near duplicates, leaks between subsets, shortcuts."""
