//! A raw file as a volume.
