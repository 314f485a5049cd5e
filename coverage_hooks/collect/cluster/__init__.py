"""The door to Kubernetes on the test machine: everything that asks a cluster for anything is below here."""
