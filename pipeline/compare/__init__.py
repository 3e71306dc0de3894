"""Is it better? What is compared, how it is trained and scored, and the verdict."""
