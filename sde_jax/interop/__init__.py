"""Published checkpoints in, ours out, without the libraries that wrote them."""
