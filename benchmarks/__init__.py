"""One script for each figure of docs/performance.md and docs/results.md, and what they share."""
