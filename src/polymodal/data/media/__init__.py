"""Images, drawings, sounds and videos: from files to arrays."""
