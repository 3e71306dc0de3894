"""From plain data to HTML pages: no plugin, no torch, no network."""
