"""Models of MLflow over HTTP, and in a container."""
