"""What Kubernetes said of the pods: who was there, and how each container ended."""
