"""What a trainable baseline is given: pictures, skeletons, regions, faces, gates and sound, on the same frames."""
