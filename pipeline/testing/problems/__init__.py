"""What checks give to stages, such as problems with known answers, and how they look at answers."""
