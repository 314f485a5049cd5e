"""What is shown: tables, pages, thresholds, summaries."""
