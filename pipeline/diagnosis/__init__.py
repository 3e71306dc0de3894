"""What is wrong with a training or its samples, in words: pure functions of plain data."""
