"""The tests of what users install, as they install it: on every Python, and with other versions than the lock's."""
