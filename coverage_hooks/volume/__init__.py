"""What recorder and collector agree on: names, manifests, and how to open what somebody else may have written.

The only code that both sides import, so the standard library is all it uses.
"""
