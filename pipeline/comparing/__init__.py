"""Is a difference more than chance? The statistics of ``pipeline compare``."""
