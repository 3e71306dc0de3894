"""A model in memory: noise levels, samples, images and measurements. Knows no store."""
