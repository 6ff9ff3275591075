"""Videos: exact frames, decoded in the killable worker; and sheets, pictures of frames whose every pixel is a frame's."""
