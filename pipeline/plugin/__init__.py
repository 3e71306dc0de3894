"""What a stage is, and how stages are found. Knows no recipe."""
