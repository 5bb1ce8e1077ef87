"""From a trained model to pictures: windows, guidance, denoising, the benchmark's model, one's own inputs."""
