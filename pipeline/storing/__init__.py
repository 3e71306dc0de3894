"""Keys, manifests, folders and digests: the parts of ``store.py``."""
