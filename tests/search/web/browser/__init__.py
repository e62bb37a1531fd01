"""The pages in a real Chromium, served by a process of their own."""
