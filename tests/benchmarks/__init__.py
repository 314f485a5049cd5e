"""How long what people wait for takes, against the alternative, in turn in one run: `make benchmark`."""
