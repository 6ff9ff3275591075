"""Videos: exact frames, decoded in the killable worker; and sheets, pictures of frames, every pixel a frame's."""
