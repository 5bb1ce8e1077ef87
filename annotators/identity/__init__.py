"""Identity: embeddings of faces, and who is who across the shots of one source."""
