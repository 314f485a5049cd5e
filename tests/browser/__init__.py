"""The page in a real browser: Debian's chromium, headless, spoken to in its own DevTools protocol."""
