"""Sounds: samples decoded in the killable worker, and spectrograms of any moment, computed anew from the samples."""
